"""The workers of a run, as the environment variable TF_CONFIG names them."""

import dataclasses
import json
import os
from typing import Any

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker")
_EXAMPLE = (
    'Such as \'{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}\', with another index for each.'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Who shares a run, the chief first.

    Attributes:
        addresses: `host:port` of each worker.
        names: What to call each, such as `worker 1`.
        index: Which of them this process is.
    """

    addresses: tuple[str, ...] = ("",)
    names: tuple[str, ...] = ("worker 0",)
    index: int = 0

    def name(self, index: int) -> str:
        """A worker's name and address."""
        return f"{self.names[index]} ({self.addresses[index]})"


def read() -> Cluster:
    """The cluster that TF_CONFIG describes.

    Raises:
        ValueError: If it is not set, or is not what TensorFlow takes.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        raise ValueError(
            f"--strategy=multiworker needs the environment variable {VARIABLE}, which "
            f"is not set. {_EXAMPLE}"
        )
    return parse(text)


def parse(text: str) -> Cluster:
    """Reads and checks a value of TF_CONFIG.

    Args:
        text: JSON with a `cluster` of the jobs `worker` and, if need be, `chief`, and
            the `task` that this process is.

    Returns:
        The cluster.

    Raises:
        ValueError: If anything is amiss.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise _wrong(f"is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _wrong(f"must be a JSON object, got {text[:60]!r}")
    jobs = _jobs(content.get("cluster"))
    job, index = _task(content.get("task"), jobs)
    # As TensorFlow counts them.
    everyone = [(name, i) for name in JOBS for i in range(len(jobs.get(name, ())))]
    return Cluster(
        tuple(jobs[name][i] for name, i in everyone),
        tuple("chief" if name == "chief" else f"worker {i}" for name, i in everyone),
        everyone.index((job, index)),
    )


def _jobs(cluster: Any) -> dict[str, list[str]]:
    if not isinstance(cluster, dict) or not cluster:
        raise _wrong("needs a 'cluster' with the addresses of the workers")
    if other := sorted(set(cluster) - set(JOBS)):
        raise _wrong(f"may name the jobs chief and worker, got {', '.join(other)}")
    for job, addresses in cluster.items():
        if not isinstance(addresses, list) or not addresses:
            raise _wrong(f"needs a list of addresses for {job!r}, got {addresses!r}")
        for address in addresses:
            _check_address(address)
    if len(cluster.get("chief", [0])) != 1:
        raise _wrong(f"may name one chief, got {len(cluster['chief'])}")
    known = [address for addresses in cluster.values() for address in addresses]
    if twice := sorted({a for a in known if known.count(a) > 1}):
        raise _wrong(f"names {twice[0]!r} twice; each worker has an address of its own")
    return cluster


def _check_address(address: Any) -> None:
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise _wrong(f"needs addresses 'host:port', got {address!r}")


def _task(task: Any, jobs: dict[str, list[str]]) -> tuple[str, int]:
    """Job and number of this process."""
    if not isinstance(task, dict):
        raise _wrong("needs a 'task' that says which worker this process is")
    if "type" not in task or "index" not in task:
        raise _wrong(f"needs a 'type' and an 'index' in its 'task', got {task}")
    job, index = task["type"], task["index"]
    if job not in jobs:
        raise _wrong(
            f"says that this process is a {job!r}; its cluster has {' and '.join(jobs)}"
        )
    if type(index) is not int or not 0 <= index < len(jobs[job]):
        raise _wrong(
            f"says that this process is {job} {index!r}; its cluster has "
            f"{len(jobs[job])} of them, counted from 0"
        )
    return job, index


def _wrong(what: str) -> ValueError:
    return ValueError(f"{VARIABLE} {what}. {_EXAMPLE}")
