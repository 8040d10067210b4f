"""The proof that methods learn: the same budget for all, run by run, resumable."""

import contextlib
import pathlib
from collections.abc import Sequence

from keras_ssl.core import config, console, gin_text, run_dir
from keras_ssl.core import precision as precisions
from keras_ssl.core.registry import register
from keras_ssl.runs import (
    listing,
    prove_job,
    prove_pool,
    prove_records,
    prove_table,
    records,
)
from keras_ssl.runs.prove_job import Job


@register("run")
def prove(
    protocol: str,
    *,
    bound: float,
    seeds: Sequence[int],
    methods: Sequence[str] = (),
    family: str | None = None,
    only_seeds: Sequence[int] = (),
    out: str = "runs/proofs",
    kept: str = "docs/proofs",
    precision: str = "auto",
    data_dir: str | None = None,
    plugins: Sequence[str] = (),
    jobs: int = 1,
    table_only: bool = False,
) -> int:
    """Trains methods by one protocol and writes a table from their records.

    Each run has a process of its own and goes on where it was stopped; finished ones
    are not run again. A run that fails is recorded and does not stop the others.
    Several at a time, each on its own cores, end sooner than one after the other
    where the encoder is too small to keep all cores busy.

    Args:
        protocol: `cifar10` for `proofs/cifar10.gin`, or a path.
        bound: Least gain over both baselines, a share in [0, 1].
        seeds: Seeds of the whole proof.
        methods: Names or paths of recipes; all of `gin_configs/methods` by default.
        family: Only methods of this family.
        only_seeds: Of `seeds`, those to run now; all by default.
        out: Where runs are, `<protocol>/<method>/seed<k>/`.
        kept: Where the small records and the tables go.
        precision: `auto` or a dtype policy of Keras.
        data_dir: Where TFDS keeps data.
        plugins: Modules with parts of others.
        jobs: Runs at a time, each on its share of the cores; at least 1.
        table_only: Runs nothing; writes the table from the records.

    Returns:
        The exit status: 0, or 1 if a run failed.

    Raises:
        ValueError: If a name is unknown, a record cannot be read, or there are fewer
            cores than `jobs`.
    """
    file = protocol_file(protocol)
    record = pathlib.Path(kept).expanduser() / pathlib.Path(file).stem
    about = _head(pathlib.Path(config.find(file)).read_text(encoding="utf-8"))
    if unknown := sorted(set(only_seeds) - set(seeds)):
        raise ValueError(f"The seeds of {file} are {tuple(seeds)}; got {unknown}.")
    prove_pool.shares(jobs)  # Before anything is written.
    policy = precisions.choose(precision).policy
    every = [
        Job(
            pathlib.Path(recipe).stem,
            (recipe, file),
            pathlib.Path(out).expanduser() / record.name,
            record,
            records.Launch(pathlib.Path(), data_dir, seed, policy, tuple(plugins)),
        )
        for seed in dict.fromkeys(only_seeds or seeds)
        for recipe in recipes(methods, family)
    ]
    run_dir.write_json(
        record / prove_records.PROOF,
        {
            "about": about,
            "bound": bound,
            "seeds": list(seeds),
            "command": f"python tools/prove.py --protocol={protocol}",
        },
    )
    failed = 0 if table_only else _run_all(every, record, jobs)
    prove_table.write(record)
    console.say(f"Wrote {record.with_name(record.name + '.md')}.")
    return 1 if failed else 0


def protocol_file(protocol: str) -> str:
    """`proofs/<protocol>.gin`, or what is a path already."""
    return protocol if protocol.endswith(".gin") else f"proofs/{protocol}.gin"


def recipes(methods: Sequence[str] = (), family: str | None = None) -> list[str]:
    """Recipes of methods.

    Args:
        methods: Names or paths of recipes; all of `gin_configs/methods` by default.
        family: Only methods of this family.

    Raises:
        ValueError: If there is no such recipe or family.
    """
    every = [name for name in config.shipped() if name.startswith("methods/")]
    files = [m if m.endswith(".gin") else f"methods/{m}.gin" for m in methods] or every
    files = list(dict.fromkeys(files))  # Named twice, a run would meet itself.
    for file in files:
        config.find(file)
    if family is None:
        return files
    families = {row["name"]: row["family"] for row in listing.rows("method")}
    if family not in families.values():
        known = ", ".join(sorted(set(families.values())))
        raise ValueError(f"No method is of family {family!r}; there are {known}.")
    return [file for file in files if families.get(_method(file)) == family]


def _method(file: str) -> str:
    """Name of the method that a recipe trains, with nothing built."""
    config.parse([file])
    bound = (b for b in gin_text.read(config.texts()[0]) if str(b) == "train.method")
    return next((gin_text.show(b.value)[1:].split("/")[-1] for b in bound), "")


def _run_all(jobs: Sequence[Job], record: pathlib.Path, at_once: int) -> int:
    """Runs what is not finished; returns how many failed."""
    failed, open_ = 0, {job.folder for job in jobs}
    times: list[float] = []
    with contextlib.closing(prove_pool.each(jobs, at_once)) as ended:
        for place, (job, error, seconds) in enumerate(ended, 1):
            prove_job.keep(job, error)
            failed += bool(error)
            said = "was finished" if seconds is None else "finished"
            ending = f"failed: {error}" if error else f"{said}: {_scores(job)}"
            if seconds is not None:
                times.append(seconds)
                # What is wrong with a record is an error at the end; the rest goes on.
                with contextlib.suppress(ValueError):
                    prove_table.write(record)
            open_.discard(job.folder)
            left = [each for each in jobs if each.folder in open_ and not each.finished]
            hence = len(left) * sum(times) / max(1, len(times)) / at_once
            about = f", about {console.duration(hence)}" if times and left else ""
            name = f"{job.method}, seed {job.launch.seed}"
            console.say(
                f"[{place}/{len(jobs)}] {name} {ending}. {len(left)} left{about}."
            )
    return failed


def _scores(job: Job) -> str:
    rows = prove_records.final(job.record)
    return ", ".join(
        f"{evaluation} {row['top1']:.3f} (untrained "
        f"{rows['random_init', evaluation]['top1']:.3f}, pixels "
        f"{rows['raw_pixels', evaluation]['top1']:.3f})"
        for (subject, evaluation), row in rows.items()
        if subject == "encoder"
    )


def _head(text: str) -> str:
    """The comment that a configuration begins with."""
    lines = text.split("\n\n")[0].splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
