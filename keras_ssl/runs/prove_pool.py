"""Several runs of a proof at a time, each on its share of the cores."""

import contextlib
import os
import signal
import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from keras_ssl.core import config, console
from keras_ssl.runs import prove_job
from keras_ssl.runs.prove_job import Job, Running

# A run's error is recorded and stops no other run.
ERRORS = (ValueError, TypeError, KeyError)
_PAUSE = 0.2


class Ended(NamedTuple):
    """A run that has ended: why it failed, or '', and how long it trained, or None."""

    job: Job
    error: str
    seconds: float | None


def each(jobs: Sequence[Job], at_once: int = 1) -> Generator[Ended, None, None]:
    """Runs what is not finished, and tells of each run as it ends.

    Told to end, it ends its runs first; close it where it may be left early.

    Args:
        jobs: The runs.
        at_once: How many train at a time, at least 1. Each has its own cores, so that
            none waits for another's threads.

    Raises:
        ValueError: If there are fewer cores than that.
    """
    free, running = shares(at_once), list[Running]()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for place, job in enumerate(jobs, 1):
            if refused := _refused(job):
                yield Ended(job, refused, None)
                continue
            if job.finished:
                yield Ended(job, "", None)
                continue
            name = f"[{place}/{len(jobs)}] {job.method}, seed {job.launch.seed}"
            log = job.folder / prove_job.LOG
            console.say(f"{name}: trains; {log} says how it goes.")
            running.append(job.start(free.pop()))
            if not free:
                yield _next(running, free)
        while running:
            yield _next(running, free)
    finally:
        for one in running:
            one.stop()
        signal.signal(signal.SIGTERM, before)


def shares(at_once: int) -> list[tuple[int, ...]]:
    """Cores of each of so many runs; an empty share means all cores.

    Raises:
        ValueError: If there are fewer cores than runs.
    """
    if at_once == 1:
        return [()]
    with contextlib.suppress(AttributeError):  # Not on every system.
        cores = sorted(os.sched_getaffinity(0))
        if not 1 <= at_once <= len(cores):
            raise ValueError(
                f"jobs must be between 1 and the {len(cores)} cores; got {at_once}."
            )
        return [tuple(cores[first::at_once]) for first in range(at_once)]
    return [()] * at_once


def _refused(job: Job) -> str:
    """Why a run cannot be begun, or ''."""
    try:
        job.check()
    except ERRORS as error:
        return job.public(config.explain(error))
    return ""


def _next(running: list[Running], free: list[tuple[int, ...]]) -> Ended:
    """Waits for the next run that ends, and frees its cores."""
    while True:
        for one in running:
            if one.child.poll() is not None:
                running.remove(one)
                free.append(one.cores)
                return Ended(one.job, one.error(), time.perf_counter() - one.begun)
        time.sleep(_PAUSE)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
