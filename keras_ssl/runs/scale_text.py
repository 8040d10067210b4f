"""A plan past this machine, as text for people."""

from typing import Any

from keras_ssl.core import console


def text(report: dict[str, Any]) -> str:
    """Lays out what `plan_scale.plan` returned.

    Args:
        report: The report.

    Returns:
        Lines for standard output: what is assumed, a column for each number of
        devices, and where replicas meet.
    """
    blocks = [*heading(report), console.table(columns(report))]
    for each in report["devices"]:
        if each["meetings"]:
            blocks += [
                f"Where {each['devices']} replicas meet in a step",
                console.table([_meeting(row) for row in each["meetings"]]),
            ]
    return "\n\n".join(blocks)


def heading(report: dict[str, Any]) -> list[str]:
    """Sentences: what is planned, and what is assumed."""
    assumed = ", ".join(f"{k} {v:g}" for k, v in report["assumed"].items())
    return [
        f"{', '.join(report['recipe'])}: batch {report['batch_size']:,}, "
        f"{report['epochs']:,} epochs of {report['examples']:,} examples, "
        f"{report['steps']:,} steps",
        f"Assumed, not measured: {assumed}; collectives around a ring.",
    ]


def columns(report: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each figure, a column for each number of devices."""
    return _turned([_column(each) for each in report["devices"]])


def _column(each: dict[str, Any]) -> dict[str, str]:
    seconds, sent, counted = each["seconds"], each["sent"], each["flops"]
    found = {
        "devices": str(each["devices"]),
        "local batch": f"{each['local_batch']:,}",
        "FLOP a device: forward": f"{counted['forward'] / 1e12:.3g} T",
        "FLOP a device: backward": f"{counted['backward'] / 1e12:.3g} T",
        "sent by a device: gathers": _size(sent["gathered"]),
        "sent by a device: sums and means": _size(sent["reduced"]),
        "of it batch norm": _size(sent["batch_norm"]),
        "collectives": str(sum(row["count"] for row in each["meetings"])),
        "weights, optimizer, memories": _size(each["lasting_bytes"]),
        "compute": _milliseconds(seconds["compute"]),
        "communication": _milliseconds(seconds["communication"]),
        "of it gradients": _milliseconds(seconds["gradients"]),
    }
    for key, words in (
        ("no_overlap", "nothing overlaps"),
        ("full_overlap", "gradients overlap backward"),
    ):
        found[f"efficiency, {words}"] = f"{each[key]['efficiency']:.1%}"
        found[f"steps an hour, {words}"] = f"{each[key]['steps_an_hour']:,.0f}"
        found[f"hours, {words}"] = f"{each[key]['hours']:,.1f}"
    if counted["unknown"] or counted["loops"]:
        found["not counted"] = (
            f"{counted['unknown']} products of unknown size; {counted['loops']} loops "
            "counted once"
        )
    return found


def _meeting(row: dict[str, Any]) -> dict[str, str]:
    return {
        "where": row["where"],
        "kind": row["kind"],
        "pass": "backward" if row["backward"] else "forward",
        "times": str(row["count"]),
        "a device brings": _size(row["bytes"]),
        "and sends": _size(row["sent"]),
        "takes": _milliseconds(row["seconds"]),
    }


def _turned(columns: list[dict[str, str]]) -> list[dict[str, str]]:
    """A row for each name, a column for each number of devices."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [
        {"devices": name, **{c["devices"]: c.get(name, "") for c in columns}}
        for name in names
        if name != "devices"
    ]


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def _size(count: float) -> str:
    return f"{count / 1024:.1f} kiB" if count < 2**20 else console.size(count)
