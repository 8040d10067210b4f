"""What recorded evaluations say of an encoder, as a table of a page."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from keras_ssl.evaluation.intervals import interval
from keras_ssl.evaluation.results import fingerprint, headline

Row = Mapping[str, Any]
# Subjects and what the page calls them; others follow under their own names.
_SUBJECTS = {
    "encoder": "trained",
    "random_init": "untrained",
    "raw_pixels": "raw pixels",
    "spectrum": "mean spectrum",
}


def lines(rows: Iterable[Row]) -> list[str]:
    """A line of Markdown for each evaluation, data set and protocol.

    Whatever evaluations there are in the record appear. The numbers of a line share one
    protocol, so that they may be compared with each other.

    Args:
        rows: Lines of evaluations.jsonl of one encoder, the later ones counting where
            subject, protocol and seed are the same. Of a subject that was scored at
            several steps the last step counts.

    Returns:
        A table; nothing but its head if there are no rows.
    """
    head, *table = cells(rows)
    table = [[*line[:-1], f"`{line[-1]}`"] for line in table]
    table = [head, ["---"] * len(head), *table]
    return [f"| {' | '.join(line)} |" for line in table]


def cells(rows: Iterable[Row]) -> list[list[str]]:
    """The table of `lines` as cells, its head first.

    Args:
        rows: As there.
    """
    by_key: dict[tuple[str, str, str, str], dict[str, dict[Any, Row]]] = {}
    last: dict[tuple[Any, str], int] = collections.defaultdict(int)
    for row in rows:
        shared, subject = key(row), row["subject"]
        step = row.get("step", 0)
        if step < last[shared, subject]:
            continue
        found = by_key.setdefault(shared, {})
        if step > last[shared, subject]:
            found[subject] = {}
        last[shared, subject] = step
        found.setdefault(subject, {})[row["protocol"].get("seed")] = row
    subjects = list(dict.fromkeys(s for found in by_key.values() for s in found))
    subjects.sort(key=lambda s: [*_SUBJECTS, s].index(s))
    head = ["evaluation", "data", "train / val / test", "measure"]
    head += [_SUBJECTS.get(s, s) for s in subjects] + ["near duplicates", "protocol"]
    table = [head]
    for shared, found in sorted(by_key.items()):
        name, data, measure, mark = shared
        any_row = next(iter(next(iter(found.values())).values()))
        scores = [_score(found.get(subject, {})) for subject in subjects]
        about = [name, data, images(any_row), measure]
        table.append([*about, *scores, _leakage(found), mark])
    return table


def at_the_end(rows: Iterable[Row]) -> list[Row]:
    """Without scores of an encoder that was trained on after them.

    Args:
        rows: Lines of evaluations.jsonl of one encoder.
    """
    rows = list(rows)
    ours = [row for row in rows if row["subject"].startswith("encoder")]
    last = max((row.get("step", 0) for row in ours), default=0)
    return [row for row in rows if row not in ours or row.get("step", 0) == last]


def key(row: Row) -> tuple[str, str, str, str]:
    """What scores that compare have in common: evaluation, data, measure, fingerprint.

    Args:
        row: A line of evaluations.jsonl, of an older version too.
    """
    name, protocol = row["evaluation"], row["protocol"]
    data = row.get("task") or protocol.get("test", {}).get("data", "")
    mark = row.get("fingerprint") or fingerprint(name, protocol)
    return name, data, row.get("score", "top1"), mark


def _score(by_seed: Mapping[Any, Row]) -> str:
    if not by_seed:
        return ""
    found = interval([headline(row) for row in by_seed.values()])
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"


def images(row: Row) -> str:
    """Numbers of train, validation and test images of a line of evaluations.jsonl."""
    protocol = row["protocol"]
    parts = [
        protocol.get(split, {}).get("images") for split in ("train", "val", "test")
    ]
    return " / ".join("" if part is None else f"{part:,}" for part in parts)


def _leakage(found: Mapping[str, Mapping[Any, Row]]) -> str:
    """How many test images were seen, and the trained encoder's score without them."""
    for row in found.get("encoder", {}).values():
        if beside := row.get("leakage"):
            text = f"{beside['near_duplicates']:,} of {beside['of']:,}"
            if "without" in beside:
                text += f", without {next(iter(beside['without'].values())):.3f}"
            return text
    return ""
