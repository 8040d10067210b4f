"""Scores of several encoders side by side: a column holds one protocol, no other."""

import collections
import json
from collections.abc import Iterable, Mapping
from typing import Any

from keras_ssl.evaluation.intervals import interval
from keras_ssl.evaluation.results import fingerprint, headline

Row = Mapping[str, Any]


def table(rows: Iterable[tuple[str, Row]]) -> list[dict[str, str]]:
    """A line a label, a column an evaluation under one protocol.

    Args:
        rows: Lines of evaluations.jsonl with what to call their encoder. Those of a
            label and a protocol that differ by their seed become a mean with its
            bounds; of those that do not the last counts.

    Returns:
        Cells by column. Columns of one evaluation under several protocols are told
        apart by their fingerprints.
    """
    found: dict[str, dict[tuple[str, str, str], dict[Any, float]]] = {}
    kinds: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for label, row in rows:
        column = _column(row)
        kinds[column[:2]].add(column[2])
        cell = found.setdefault(label, {}).setdefault(column, {})
        cell[row["protocol"].get("seed")] = headline(row)
    columns = dict.fromkeys(column for cells in found.values() for column in cells)
    titles = {
        column: " ".join(column if len(kinds[column[:2]]) > 1 else column[:2])
        for column in columns
    }
    return [
        {"features": label}
        | {titles[c]: _cell(list(cells[c].values())) for c in columns if c in cells}
        for label, cells in found.items()
    ]


def protocols(rows: Iterable[Row]) -> str:
    """What scores depend on, as JSON, once for each fingerprint."""
    found = {_column(row)[2]: row for row in rows}
    shown = {
        mark: {"evaluation": row["evaluation"], **row["protocol"]}
        for mark, row in found.items()
    }
    return json.dumps(shown, indent=2)


def _column(row: Row) -> tuple[str, str, str]:
    name = row["evaluation"]
    # Lines of older versions have none.
    mark = row.get("fingerprint") or fingerprint(name, row["protocol"])
    return name, row.get("score", "top1"), mark


def _cell(values: list[float]) -> str:
    found = interval(values)
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
