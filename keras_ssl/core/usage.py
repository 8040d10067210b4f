"""How much of the machine a run took."""

import pathlib
import sys

import tensorflow as tf


def peak_memory() -> dict[str, int]:
    """Most memory that this process held so far, by place.

    Returns:
        Bytes: `process`, the resident memory (where the system tells), and `GPU:0`
        and so on, what TensorFlow gave out on each.
    """
    found = {}
    try:
        import resource
    except ImportError:  # Not on Windows.
        pass
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found["process"] = most * unit
    for device in tf.config.list_logical_devices("GPU"):
        name = device.name.rpartition("device:")[-1]
        found[name] = tf.config.experimental.get_memory_info(name)["peak"]
    return found


def resident_memory() -> dict[str, int]:
    """Resident memory of this process, of Linux only.

    Unlike `peak_memory` it knows nothing of what started the process: there a child
    begins with its parent's peak.

    Returns:
        Bytes: `now` and `most` so far; nothing on other systems.
    """
    try:
        lines = pathlib.Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return {}
    table = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
    kinds = {"now": "VmRSS", "most": "VmHWM"}
    return {name: int(table[key].split()[0]) * 1024 for name, key in kinds.items()}
