"""The page and the picture of a proof, made from its records alone."""

import pathlib
from typing import Any

from keras_ssl.core import console, run_dir
from keras_ssl.evaluation.intervals import Interval, interval
from keras_ssl.runs import prove_records
from keras_ssl.runs.prove_records import Table

NAMES = {"knn": "kNN", "linear": "linear probe"}


def write(folder: pathlib.Path) -> None:
    """Writes `<folder>.md` and `<folder>.png` beside the records.

    Args:
        folder: Records of one proof, `<method>/seed<k>/` and proof.json.

    Raises:
        ValueError: If a record is incomplete or scored by differing protocols.
    """
    found = prove_records.tables(folder)
    if found:
        draw(_beside(folder, ".png"), found)
    run_dir.write_text(_beside(folder, ".md"), markdown(folder))


def markdown(folder: pathlib.Path) -> str:
    """The page of a proof, with a table for each protocol among its records."""
    proof = run_dir.read_json(folder / prove_records.PROOF)
    found = prove_records.tables(folder)
    parts = [
        f"# Proof: {folder.name}\n",
        f"{proof['about']}\n",
        f"Made by `{proof['command']}` from the records in `{folder.name}/`; do not "
        f"edit. A method has learned where its kNN or its linear probe is above both "
        f"baselines, the untrained encoder and raw pixels, by at least "
        f"{100 * proof['bound']:g} points in the mean over seeds "
        f"{', '.join(map(str, proof['seeds']))}. In brackets: least and greatest of "
        "two seeds, the 95 % t-interval of more. Times are of the machine as it was, "
        "with whatever else ran on it.\n",
    ]
    if found:
        parts.append(f"![Scores beside their baselines]({folder.name}.png)\n")
    for table in found:
        parts += [f"## {_title(table)}\n", _shared(table, found) + "\n"]
        parts.append(_lines(_rows(table, folder, proof)) + "\n")
    if failed := prove_records.failures(folder):
        parts.append("## Not finished\n")
        rows = [
            {"method": method, "seed": seed, "error": error}
            for (method, seed), error in failed.items()
        ]
        parts.append(_lines(rows) + "\n")
    return "\n".join(parts)


def draw(path: pathlib.Path, tables: list[Table]) -> None:
    """Draws every method's scores, with its baselines as lines.

    Args:
        path: Where the PNG goes.
        tables: One panel each.
    """
    # Imported late, as in callbacks/pictures.py; a bare figure needs no display.
    from matplotlib.figure import Figure

    heights = [len(table.methods) + 1.2 for table in tables]
    names = list(dict.fromkeys(name for table in tables for name in table.evaluations))
    size = (4.2 * len(names) + 1.2, 0.34 * sum(heights) + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        len(tables), len(names), squeeze=False, height_ratios=heights, sharex="col"
    )
    for line, table in zip(grid, tables, strict=True):
        for axis, name in zip(line, names, strict=True):
            if name in table.evaluations:
                _panel(axis, table, name)
            axis.set_title(f"{NAMES.get(name, name)}: {_title(table)}", fontsize=9)
        for axis in line[1:]:
            axis.tick_params(labelleft=False)
    for axis in grid[-1]:
        axis.set_xlabel("top-1 of frozen features", fontsize=9)
    handles, labels = grid[0][0].get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    figure.legend(
        kept.values(), kept.keys(), loc="outside lower center", ncols=3, fontsize=9
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axis: Any, table: Table, name: str) -> None:
    """Scores of one evaluation; the greatest gain on top, as in the page."""
    methods = sorted(table.methods, key=lambda method: table.best(method)[1])
    for y, method in enumerate(methods):
        mean, low, high = table.score("encoder", name, method)
        axis.barh(y, mean, height=0.62, color="C0", alpha=0.35, label="trained encoder")
        axis.plot(mean, y, "o", color="C0", ms=5)
        if low is not None and high is not None:
            axis.plot([low, high], [y, y], color="C0", lw=2)
        for subject, color, style, label in (
            ("random_init", "C1", "-", "the same, untrained"),
            ("raw_pixels", "black", ":", "raw pixels"),
        ):
            at = table.score(subject, name, method).mean
            axis.vlines(at, y - 0.5, y + 0.5, colors=color, ls=style, lw=2, label=label)
    axis.set_yticks(range(len(methods)), methods, fontsize=9)
    axis.set(xlim=(0, None), ylim=(-0.6, len(methods) - 0.4))
    axis.grid(axis="x", alpha=0.3)


def _title(table: Table) -> str:
    encoder, data = table.protocol["encoder"], table.protocol["data"]
    return f"{encoder['name']} on {data['source']}"


def _shared(table: Table, tables: list[Table]) -> str:
    """What all rows of a table have in common, and what parts it from others."""
    shared = table.protocol
    data, tests = shared["data"], shared["evaluations"].values()
    images = {(p["train"]["images"], p["test"]["images"]) for p in tests}
    scored = " and ".join(f"{a:,} to {b:,}" for a, b in sorted(images))
    text = (
        f"{shared['encoder']['parameters']:,} parameters in the encoder, "
        f"{shared['epochs']:g} epochs of {data['images']:,} images "
        f"(`{data['split']}`), {shared['precision']}. Scores: from {scored} images."
    )
    alike = [t for t in tables if _title(t) == _title(table)]
    changed = prove_records.differences(alike[0].protocol, shared)
    if changed:
        text += f" Differs from the first table of this name: {'; '.join(changed)}."
    return text


def _rows(
    table: Table, folder: pathlib.Path, proof: dict[str, Any]
) -> list[dict[str, str]]:
    names = {name: NAMES.get(name, name) for name in table.evaluations}
    ranked = sorted(table.methods, key=lambda method: -table.best(method)[1])
    rows = [
        _row(table, method, names) | {"learned": _verdict(table, method, folder, proof)}
        for method in ranked
    ]
    raw = {
        f"{text} top-1": f"{table.raw_pixels(name):.3f}" for name, text in names.items()
    }
    return [*rows, dict.fromkeys(rows[0], "") | {"method": "raw pixels"} | raw]


def _row(table: Table, method: str, names: dict[str, str]) -> dict[str, str]:
    runs = table.methods[method]
    content = runs[-1].content
    best, gain = table.best(method)

    def mean(values: list[float]) -> float:
        return interval(values).mean

    def health(name: str) -> float:
        scores = (run.scores["encoder", best] for run in runs)
        return mean([row["health"][name] for row in scores])

    cells = {
        "method": f"{content['method']} (`{method}`)",
        "family": content["family"],
        "views": runs[-1].views,
        "batch": _all({str(run.content["batch_size"]) for run in runs}),
        "seeds": ", ".join(str(run.content["seed"]) for run in runs),
    }
    for name, text in names.items():
        cells[f"{text} top-1"] = _score(table.score("encoder", name, method))
    for name, text in names.items():
        untrained = table.score("random_init", name, method)
        cells[f"{text}, untrained"] = f"{untrained.mean:.3f}"
    cells["gain"] = f"{100 * gain:+.1f} ({names[best]})"
    cells["learned"] = ""
    return cells | {
        "images/s": f"{mean([run.images_per_second for run in runs]):,.0f}",
        "peak memory": console.size(max(run.memory for run in runs)),
        "RankMe": f"{health('rankme'):.1f}",
        "feature std": f"{health('feature_std'):.2f}",
        "time a run": console.duration(mean([run.seconds for run in runs])),
        "commit": _all({_short(run.content["commit"] or "") for run in runs}),
    }


def _verdict(
    table: Table, method: str, folder: pathlib.Path, proof: dict[str, Any]
) -> str:
    """Whether the bound is reached; the reason, where one is known, if not."""
    done = [run.content["seed"] for run in table.methods[method]]
    missing = sorted(set(proof["seeds"]) - set(done))
    partly = f", seed {', '.join(map(str, missing))} missing" if missing else ""
    if table.best(method)[1] >= proof["bound"]:
        return f"yes{partly}"
    path = folder / method / prove_records.REASON
    reason = path.read_text(encoding="utf-8") if path.exists() else "reason not known"
    return f"**short**{partly}: {' '.join(reason.split())}"


def _score(score: Interval) -> str:
    around = "" if score.low is None else f" [{score.low:.3f}, {score.high:.3f}]"
    return f"{score.mean:.3f}{around}"


def _short(commit: str) -> str:
    """A commit's first digits; with a `+` where files differed from it."""
    return commit[:7] + "+" * commit.endswith("-dirty")


def _all(values: set[str]) -> str:
    return ", ".join(sorted(values))


def _lines(rows: list[dict[str, str]]) -> str:
    """Rows as a table of Markdown."""
    columns = list(rows[0])
    cells = [columns, ["---"] * len(columns)]
    cells += [[row[name].replace("|", "\\|") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _beside(folder: pathlib.Path, suffix: str) -> pathlib.Path:
    return folder.with_name(folder.name + suffix)
