"""A plan, and what a run says of its memory, as text for people."""

from typing import Any

from keras_ssl.core import console
from keras_ssl.runs import resolved

_UNITS = ("", "k", "M", "G", "T", "P", "E")


def text(plan: dict[str, Any]) -> str:
    """Lays out what `plan.plan` returned.

    Args:
        plan: The report; parts that problems kept from being found out are left out.

    Returns:
        Lines for standard output.
    """
    sections = {
        "Recipe": plan["recipe"].splitlines(),
        "Run": _rows(_run(plan)),
        "Size": _rows(_size(plan)),
        "Time": _rows(_time(plan)),
        "Notes": [f"- {note}" for note in plan["notes"]],
        "Problems": [f"- {problem}" for problem in plan["problems"]],
    }
    blocks = [
        "\n".join([title, *(f"  {line}" for line in lines)])
        for title, lines in sections.items()
        if lines
    ]
    if not plan["problems"]:
        blocks.append("No problems found. Nothing was started, nothing written.")
    return "\n\n".join(blocks)


def memory(found: dict[str, Any]) -> str:
    """`Peak memory 1.4 GiB, 20.1 GiB on GPU:0.` of a run's record or a plan."""
    peak = found.get("peak_memory") or {}
    return f"Peak memory {_places(peak)}." if peak else ""


def _rows(rows: dict[str, str]) -> list[str]:
    width = max((len(name) for name in rows), default=0) + 2
    return [f"{name.ljust(width)}{value}" for name, value in rows.items()]


def _places(peak: dict[str, int]) -> str:
    return ", ".join(
        console.size(count) + ("" if place == "process" else f" on {place}")
        for place, count in peak.items()
    )


def _number(value: float) -> str:
    """Three digits and a unit: `4.11 G`."""
    power = 0
    while value >= 1000 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {_UNITS[power]}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def _run(plan: dict[str, Any]) -> dict[str, str]:
    run, steps = plan["run"], plan.get("steps")
    rows = {
        "directory": run["directory"] + _resumes(steps),
        "devices": run["devices"],
        "precision": run["precision"],
        "batch": f"{run['batch_size']:,} images",
    }
    if found := plan.get("resolved"):
        rows |= resolved.text(found)
    if steps:
        rows["steps"] = (
            f"{steps['total']:,}, {steps['per_epoch']:,} an epoch of "
            f"{steps['images']:,} images"
        )
    return rows


def _resumes(steps: dict[str, int] | None) -> str:
    if not steps or not steps["start"]:
        return ""
    if steps["start"] >= steps["total"]:
        return " (holds this run, finished)"
    return f" (holds this run; goes on from step {steps['start']:,})"


def _size(plan: dict[str, Any]) -> dict[str, str]:
    rows = {}
    if size := plan.get("parameters"):
        remembered = f", {size['memories']:,} of memories" if size["memories"] else ""
        rows = {
            "encoder": f"{size['encoder']:,} numbers",
            "trained": f"{size['trained']:,}",
            "not trained": f"{size['not_trained']:,}{remembered}",
            "optimizer": f"{size['optimizer']:,}",
            "lasting": f"{console.size(size['bytes'])} for all of these"
            + (" on each replica" if plan["run"]["replicas"] > 1 else ""),
        }
    if flops := plan.get("flops"):
        rows["arithmetic"] = (
            f"{_number(flops['image'])}FLOP an image, {_number(flops['step'])}FLOP a "
            "step: convolutions and matrix products, forward and back, with two "
            f"operations a multiply-add{_uncounted(flops)}"
        )
        rows["batch"] = f"{console.size(plan['batch_bytes'])} with its views"
        rows["checkpoint"] = console.size(plan["checkpoint_bytes"])
        rows["peak memory"] = f"about {_places(plan['memory'])}"
    return rows


def _uncounted(flops: dict[str, int]) -> str:
    left = []
    if flops["unknown"]:
        left.append(f"{flops['unknown']} products of unknown size left out")
    if flops["loops"]:
        left.append(f"{flops['loops']} loops counted once")
    return f" ({'; '.join(left)})" if left else ""


def _time(plan: dict[str, Any]) -> dict[str, str]:
    time = plan.get("time")
    if not time:
        return {}
    parts = ", ".join(
        f"{name} {console.duration(time[name])}"
        for name in ("starting", "training", "scoring", "saving")
    )
    total = time["total"]
    hours = f" ({total / 3600:.1f} hours)" if total >= 3600 else ""
    step, compute, data = (_seconds(time[k]) for k in ("step", "compute", "data"))
    speed = _number(plan["flops"]["per_second"])
    return {
        "a step": f"{step}, {time['images_per_second']:,.0f} images/s",
        "alone": f"compute {compute} ({speed}FLOP/s), data {data}",
        "bound by": _bound(time, plan["run"]),
        "in all": f"about {console.duration(total)}{hours}: {parts}",
    }


def _bound(time: dict[str, float], run: dict[str, Any]) -> str:
    """Which of data and compute is slower, by how much, and what to do about it."""
    on_cpu = run["devices"].endswith("CPU")
    if time["data"] > time["compute"]:
        said = (
            f"data: a batch takes {time['data'] / time['compute']:.1f} times as long "
            "to make as to train on. Give it more processors, smaller images or "
            "cheaper views"
        )
    else:
        said = (
            f"compute: data come {time['compute'] / time['data']:.1f} times as fast as "
            "they are used. A faster device, more of them or a smaller encoder would "
            "help"
        )
        if not on_cpu and run["precision"] == "float32":
            said += ", or --precision=auto"
    slower = max(time["data"], time["compute"])
    if on_cpu and time["step"] > 1.15 * slower:
        said += (
            f". Both share this CPU, which costs {time['step'] / slower - 1:.0%} more"
        )
    return said + "."
