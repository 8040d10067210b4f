"""What a run writes about itself: config.gin, operative_config.gin, run.json."""

import contextlib
import dataclasses
import pathlib
import platform
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras

import keras_ssl
from keras_ssl.core import (
    config,
    distribute,
    durable,
    formats,
    registry,
    run_dir,
    usage,
)
from keras_ssl.core.meeting import Meeting
from keras_ssl.core.stopping import Stopped, Stopping
from keras_ssl.core.tracing import named_variables, prefix_of
from keras_ssl.runs import provenance

if TYPE_CHECKING:
    from keras_ssl.callbacks.checkpoint import Checkpoint
    from keras_ssl.data.sources import Source
    from keras_ssl.methods.base import Method
    from keras_ssl.schedules import Clock


@dataclasses.dataclass(frozen=True)
class Launch:
    """What a command line says about a run, beside its configuration.

    Attributes:
        run_dir: Where the run leaves everything.
        data_dir: Where TFDS keeps data.
        seed: Seed of weights and views.
        precision: Keras's dtype policy, for the record.
        plugins: Modules that were loaded beside the project's own.
        init_from: A run or an export whose encoder weights to start from.
        init_from_except: Patterns of weights that are not taken from it.
        instead: What to call with the recipe's parts in place of training.
        meeting: The workers that share the run; one by default.
        signals: What asks the run to stop; nothing by default.
    """

    run_dir: pathlib.Path
    data_dir: str | None = None
    seed: int = 0
    precision: str = "float32"
    plugins: tuple[str, ...] = ()
    init_from: str | None = None
    init_from_except: tuple[str, ...] = ()
    instead: Callable[..., dict[str, Any]] | None = None
    meeting: Meeting = dataclasses.field(default_factory=Meeting)
    signals: Stopping = dataclasses.field(default_factory=Stopping)


def facts(launch: Launch) -> dict[str, Any]:
    """What the workers of a run must have in common before it begins."""
    return {
        **config.table(config.texts()[0]),
        "the seed": launch.seed,
        "the precision": launch.precision,
        "the version of python": platform.python_version(),
        "the commit": provenance.commit(),
        **{f"the version of {k}": v for k, v in provenance.versions().items()},
        "the version of keras_ssl": keras_ssl.__version__,
    }


def check_directory(launch: Launch) -> None:
    """Refuses a directory that holds another run.

    Raises:
        ValueError: If its configuration, seed or precision differ from this run's.
    """
    path = launch.run_dir / run_dir.CONFIG
    if not path.exists():
        return
    old = run_dir.read_json(launch.run_dir / run_dir.RUN)
    new = formats.bound_since(old) if old else ()
    found = config.differences(run_dir.read_text(path), config.texts()[0])
    changed = [line for line in found if line.split(" ")[0] not in new]
    changed += [
        f"{key} was {old[key]}, is now {now}"
        for key, now in (("seed", launch.seed), ("precision", launch.precision))
        if key in old and old[key] != now
    ]
    if changed:
        more = f" (and {len(changed) - 3} more)" if changed[3:] else ""
        raise ValueError(
            f"{launch.run_dir} holds a run with other settings: "
            f"{'; '.join(changed[:3])}{more}. Give another --run_dir, or the same "
            "settings to resume."
        )


class Record:
    """Keeps run.json and the configurations of a run.

    Args:
        launch: What the command line said.
        method: The method, set up.
        source: What it trains on.
        size: Side of its views, pixels.
        clock: Length of the run.
        batch_size: Images in a global batch.
    """

    def __init__(
        self,
        launch: Launch,
        method: "Method",
        source: "Source",
        size: int,
        clock: "Clock",
        batch_size: int,
    ) -> None:
        self.directory = launch.run_dir
        self.meeting, self.unreadable = launch.meeting, source.unreadable
        self.elsewhere: set[int] = set()
        self.total_steps = clock.total_steps
        encoder = method.product
        self.content: dict[str, Any] = {
            **formats.stamp(),
            "versions": {"keras_ssl": keras_ssl.__version__, **provenance.versions()},
            "python": platform.python_version(),
            "commit": provenance.commit(),
            "seed": launch.seed,
            "precision": launch.precision,
            "devices": distribute.devices(),
            "plugins": list(launch.plugins),
            "data_dir": launch.data_dir,
            "init_from": launch.init_from,
            "init_from_except": list(launch.init_from_except),
            "method": registry.name_of(method),
            "family": method.family,
            "encoder": {
                "name": registry.name_of(encoder),
                "config": encoder.get_config(),
                "feature_dim": int(encoder.feature_dim),
                "image_size": size,
                "prefix": prefix_of(method, encoder),
            },
            "projector": _projector(method),
            "parameters": {
                # A target's copy has as many, but trains none.
                "encoder": _count(method.encoder),
                "trained": _count(method),
            },
            "data": {
                "source": source.name,
                "split": source.split,
                "images": source.count,
                "fingerprint": source.fingerprint(),
            },
            "batch_size": batch_size,
            "total_steps": clock.total_steps,
            "steps_per_epoch": clock.steps_per_epoch,
        }

    def begin(self, step: int) -> None:
        """Notes that training starts, anew or from a checkpoint at `step`."""
        before = run_dir.read_json(self.directory / run_dir.RUN)
        # Of a finished run nothing is left to do, and what it took stays.
        done = before.get("status") == "finished" and step == self.total_steps
        self.finished = before if done else {}
        resumes = bool(before) and not self.finished
        self.content["resumed"] = before.get("resumed", 0) + int(resumes)
        # Steps where later sittings began: seconds in metrics.jsonl begin anew there.
        self.content["resumed_at"] = before.get("resumed_at", []) + [step] * resumes
        if distribute.is_chief():
            for name in (run_dir.METRICS, run_dir.EVALUATIONS, run_dir.HEALTH):
                run_dir.keep_lines_before(self.directory / name, step)
        self._write("running")

    @property
    def is_finished(self) -> bool:
        """Whether an earlier sitting came to the run's end."""
        return bool(self.finished)

    def tell(self, **facts: Any) -> None:
        """Notes facts of a run that goes on, such as its health."""
        self.content |= facts
        self._write("running")

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Notes in run.json how training ended, if it did not finish."""
        try:
            yield
        except KeyboardInterrupt as stop:
            why = stop.reason.name if isinstance(stop, Stopped) else "SIGINT"
            self.content["stopped"] = why
            self._write("stopped")
            raise
        except Exception as error:
            # A full disk may keep this from being written as well.
            with contextlib.suppress(durable.WriteError):
                self._write("failed")
            full = durable.told_by(error, self.directory)
            if full is None or full is error:
                raise
            raise full from error

    def end(self, saver: "Checkpoint", seconds: dict[str, float]) -> dict[str, Any]:
        """Notes what came out; returns the contents of run.json."""
        # Each worker knows of those that it was to read.
        places = sorted(self.unreadable.places)
        self.elsewhere.update(*self.meeting.everyone("unreadable", places))
        self.content |= {
            "weights_digest": saver.digest(),
            "peak_memory": usage.peak_memory(),
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
        }
        kept = ("peak_memory", "seconds")
        self.content |= {k: self.finished[k] for k in kept if k in self.finished}
        self._write("finished")
        return self.content

    def _write(self, status: str) -> None:
        if not distribute.is_chief():
            return
        self.content["status"] = status
        found = self.elsewhere.union(self.unreadable.places)
        self.content["data"]["unreadable"] = len(found)
        self.directory.mkdir(parents=True, exist_ok=True)
        bound, used = config.texts()
        run_dir.write_text(self.directory / run_dir.CONFIG, bound)
        run_dir.write_text(self.directory / run_dir.OPERATIVE, used)
        run_dir.write_json(self.directory / run_dir.RUN, self.content)


def _projector(method: "Method") -> dict[str, Any] | None:
    """What its projector is made from; None where no first layers could be taken."""
    head: Any = getattr(method, "projector", None)
    # The online projector does not belong to what a target's copy finds.
    if not hasattr(head, "first") or method.product is not method.encoder:
        return None
    try:
        name = registry.name_of(head)
    except KeyError:
        # A user's own: training needs no name for it.
        return None
    config, prefix = head.get_config(), prefix_of(method, head)
    return {"name": name, "config": config, "prefix": prefix}


def _count(model: keras.Model) -> int:
    return sum(
        int(v.value.shape.num_elements() or 0)
        for v in named_variables(model).values()
        if v.trainable
    )
