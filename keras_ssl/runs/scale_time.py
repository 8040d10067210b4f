"""From what a step computes and sends to how long it would take."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_ssl.core.flops import Flops
from keras_ssl.core.pretend import GRADIENTS, Collective


class Machine(NamedTuple):
    """What is assumed of devices and links.

    Attributes:
        link_gbps: Gigabits a second that each device sends while it receives as many.
        link_latency_us: Microseconds that any meeting of replicas takes at least.
        device_tflops: Peak of a device, 10^12 operations a second.
        utilisation: Share of the peak that is reached, in (0, 1].
    """

    link_gbps: float
    link_latency_us: float = 20.0
    device_tflops: float = 100.0
    utilisation: float = 0.4

    def check(self) -> None:
        """Raises a ValueError for numbers that no machine has."""
        for name, value in self._asdict().items():
            # No latency is a bound one may want to know.
            least = 0.0 if name == "link_latency_us" else 1e-12
            if not least <= value < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {value}.")
        if self.utilisation > 1:
            raise ValueError(
                f"utilisation is a share of the peak, at most 1; got "
                f"{self.utilisation}."
            )

    def computing(self, operations: float) -> float:
        """Seconds that a device computes."""
        return operations / (self.device_tflops * 1e12 * self.utilisation)

    def sending(self, meeting: Collective, devices: int) -> float:
        """Seconds of a collective around a ring."""
        seconds = meeting.sent(devices) * 8 / (self.link_gbps * 1e9)
        return seconds + self.link_latency_us * 1e-6


def estimate(
    devices: int,
    forward: Flops,
    step: Flops,
    met: Sequence[Collective],
    machine: Machine,
    steps: int,
) -> dict[str, Any]:
    """Times and traffic of a step on each device.

    Args:
        devices: How many there are.
        forward: Arithmetic of the loss on a device.
        step: Arithmetic of the whole step on a device.
        met: Where replicas meet in it.
        machine: What is assumed.
        steps: Of the whole run.

    Returns:
        `flops`; `meetings`, a row for each kind with `count`, `bytes` that a device
        brings, `sent` by it, and `seconds`; `sent`, the sums of these; `seconds` of the
        step's parts; and twice, where nothing overlaps and where the gradients' sum
        hides behind the backward pass as far as it can: `step_seconds`, `efficiency`,
        the share of it that computes, `steps_an_hour` and `hours`.
    """
    backward = step.products - forward.products
    compute = machine.computing(step.products)
    seconds = [machine.sending(each, devices) for each in met]
    communication = sum(seconds)
    gradients = sum(
        s for s, each in zip(seconds, met, strict=True) if each.where == GRADIENTS
    )
    exposed = max(0.0, gradients - machine.computing(backward))
    totals = {
        "no_overlap": compute + communication,
        "full_overlap": compute + communication - gradients + exposed,
    }
    return {
        "flops": {
            "forward": forward.products,
            "backward": backward,
            "unknown": step.unknown,
            "loops": step.loops,
        },
        "meetings": _grouped(devices, met, machine),
        "sent": {
            "gathered": sum(
                each.sent(devices) for each in met if each.kind == "all-gather"
            ),
            "reduced": sum(
                each.sent(devices) for each in met if each.kind == "all-reduce"
            ),
            "batch_norm": sum(
                each.sent(devices) for each in met if "batch_norm" in each.where
            ),
        },
        "seconds": {
            "compute": compute,
            "communication": communication,
            "gradients": gradients,
            "latencies": len(met) * machine.link_latency_us * 1e-6,
        },
        **{
            name: {
                "step_seconds": total,
                "efficiency": compute / total if total else 1.0,
                "steps_an_hour": 3600 / total if total else 0.0,
                "hours": steps * total / 3600,
            }
            for name, total in totals.items()
        },
    }


def _grouped(
    devices: int, met: Sequence[Collective], machine: Machine
) -> list[dict[str, Any]]:
    """A row for each kind of meeting, the largest traffic first."""
    rows: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for each in met:
        key = (each.where, each.kind, each.backward)
        row = rows.setdefault(
            key,
            {
                "where": each.where.removeprefix("keras_ssl."),
                "kind": each.kind,
                "backward": each.backward,
                "count": 0,
                "bytes": 0,
                "sent": 0.0,
                "seconds": 0.0,
            },
        )
        row["count"] += 1
        row["bytes"] += each.bytes
        row["sent"] += each.sent(devices)
        row["seconds"] += machine.sending(each, devices)
    return sorted(rows.values(), key=lambda row: -row["sent"])
