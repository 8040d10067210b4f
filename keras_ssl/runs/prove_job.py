"""One run of a proof: trained in a process of its own, and its small record kept."""

import dataclasses
import json
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from typing import Any

from keras_ssl.core import config, run_dir
from keras_ssl.runs import prove_records, records
from keras_ssl.runs.child import start

LOG = "log.txt"
# Lines of metrics.jsonl that a record keeps.
MOST_METRICS = 100
# Seconds: more than the grace that a run gives itself.
_PATIENCE = 150
_KEPT = (run_dir.EVALUATIONS, run_dir.CONFIG, run_dir.OPERATIVE, run_dir.PICTURES)


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a proof.

    Attributes:
        method: Name of the recipe.
        files: The recipe and the protocol.
        out: Where runs of the protocol are.
        kept: Where their records are.
        launch: What else the trainer is told.
    """

    method: str
    files: tuple[str, str]
    out: pathlib.Path
    kept: pathlib.Path
    launch: records.Launch

    @property
    def folder(self) -> pathlib.Path:
        """The run's directory."""
        return self.out / self.method / f"seed{self.launch.seed}"

    @property
    def record(self) -> pathlib.Path:
        """Where its record goes."""
        return self.kept / self.method / f"seed{self.launch.seed}"

    @property
    def finished(self) -> bool:
        """Whether the run is done."""
        content = run_dir.read_json(self.folder / run_dir.RUN)
        return content.get("status") == "finished"

    def check(self) -> None:
        """Raises a ValueError if the directory holds a run with other settings."""
        config.parse(self.files)
        records.check_directory(dataclasses.replace(self.launch, run_dir=self.folder))

    def start(self, cores: Sequence[int] = ()) -> "Running":
        """Begins to train, or goes on, in a process of its own.

        Args:
            cores: Those it may use; all by default.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        words = {
            "run_dir": str(self.folder),
            "files": self.files,
            "precision": self.launch.precision,
            "seed": self.launch.seed,
            "plugins": self.launch.plugins,
            "data_dir": self.launch.data_dir,
        }
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            begin = log.tell()
            child = start(words, cores, stdout=log, stderr=log)
        return Running(self, tuple(cores), child, begin, time.perf_counter())

    def public(self, text: str) -> str:
        """A message without the folders of this machine."""
        places = {str(self.folder): "the run", str(self.folder.resolve()): "the run"}
        if self.launch.data_dir:
            places[self.launch.data_dir] = "data_dir"
        places[str(pathlib.Path.cwd())] = "."
        for place, name in places.items():
            text = text.replace(place, name)
        return text


@dataclasses.dataclass(frozen=True)
class Running:
    """A run of a proof that trains.

    Attributes:
        job: The run.
        cores: Those it may use; all if empty.
        child: Its process.
        begin: Where in the log this sitting begins.
        begun: When it began, in seconds of `time.perf_counter`.
    """

    job: Job
    cores: tuple[int, ...]
    child: subprocess.Popen
    begin: int
    begun: float

    def error(self) -> str:
        """Why it failed, or '', once its process has ended."""
        status = self.child.wait()
        if status == 0 and self.job.finished:
            return ""
        with (self.job.folder / LOG).open("rb") as log:
            log.seek(self.begin)
            said = log.read().decode("utf-8", "replace")
        return self.job.public(last_error(said, status))

    def stop(self) -> None:
        """Ends its process, which finishes its step and saves."""
        # Of a terminal it has had Ctrl-C already, and a second one ends it at once.
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def keep(job: Job, error: str = "") -> None:
    """Copies what is small of a run to its record, or notes why there is none.

    Args:
        job: The run.
        error: Why it failed; the record of an earlier success stays beside it.
    """
    job.record.mkdir(parents=True, exist_ok=True)
    failure = job.record / prove_records.FAILURE
    if error:
        run_dir.write_json(failure, {"error": error})
        return
    failure.unlink(missing_ok=True)
    # Where this machine keeps its data concerns nobody else.
    content = run_dir.read_json(job.folder / run_dir.RUN) | {"data_dir": None}
    rows = run_dir.read_lines(job.folder / run_dir.METRICS)
    thinned = thin(rows, content.get("resumed_at", []))
    lines = "".join(json.dumps(row) + "\n" for row in thinned)
    run_dir.write_text(job.record / run_dir.METRICS, lines)
    for name in _KEPT:
        if (job.folder / name).exists():
            (job.record / name).write_bytes((job.folder / name).read_bytes())
    # Last: a record with this file is complete.
    run_dir.write_json(job.record / run_dir.RUN, content)


def thin(
    rows: Sequence[dict[str, Any]], resumed_at: Iterable[int] = ()
) -> list[dict[str, Any]]:
    """About `MOST_METRICS` rows at most: evenly spread, and each sitting's last."""
    every = -(-len(rows) // MOST_METRICS) or 1
    ends = {len(rows) - 1}
    for step in resumed_at:
        before = [i for i, row in enumerate(rows) if row["step"] <= step]
        ends.update(before[-1:])
    return [row for i, row in enumerate(rows) if i % every == 0 or i in ends]


def last_error(said: str, status: int) -> str:
    """The line of a log that tells best why its process ended."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"status {status}"])[-1].removeprefix("error: ")[:500]
