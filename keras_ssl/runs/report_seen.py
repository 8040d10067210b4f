"""Sections of a report on what encoders make of images."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from keras_ssl.runs.report_features import Seen
from keras_ssl.runs.report_html import (
    Sheet,
    colour,
    note,
    sheet,
    sheet_style,
    text,
    tile,
)
from keras_ssl.runs.report_records import Recorded
from keras_ssl.runs.report_svg import scatter

Pair = tuple[Recorded, Seen | str]


def sections(pairs: Sequence[Pair], styles: list[str]) -> dict[str, str]:
    """Maps, retrievals and attention maps of runs.

    Args:
        pairs: Runs, and what each one's encoder makes of images or why that is not
            known.
        styles: CSS that the sections need is appended.
    """
    sheets = _Sheets(styles)
    maps = "".join(_map(run, seen, sheets) for run, seen in pairs)
    several = len(pairs) > 1
    near = "".join(
        f"<div>{_retrievals(run, seen, sheets, several)}</div>" for run, seen in pairs
    )
    return {
        "Map": f'<div class="maps">{maps}</div>',
        "Retrievals": f'<div class="pairs">{near}</div>' if several else near,
        "Attention maps": _all_attention(pairs, sheets),
    }


class _Sheets:
    """Sheets of the page, each once whoever shows it."""

    def __init__(self, styles: list[str]) -> None:
        self.styles, self.found = styles, dict[str, tuple[Sheet, str]]()

    def __call__(
        self, pictures: np.ndarray, columns: int | None = None
    ) -> tuple[Sheet, str]:
        digest = hashlib.sha256(pictures.tobytes())
        key = f"{pictures.shape} {columns} {digest.hexdigest()}"
        if key not in self.found:
            made, name = sheet(pictures, columns), f"sheet{len(self.found)}"
            self.found[key] = made, name
            self.styles.append(sheet_style(made, name))
        return self.found[key]


def _map(run: Recorded, seen: Seen | str, sheets: _Sheets) -> str:
    head = f'<article class="map"><h3>{text(run.label)}</h3>'
    if isinstance(seen, str):
        return f"{head}{note(f'There is no map: {seen}')}</article>"
    notes = "".join(map(note, seen.notes))
    if seen.points is None:
        return f"{head}{notes}</article>"
    count = max(1, len(seen.classes))
    zeros = np.zeros(len(seen.points), np.int64)
    groups = zeros if seen.labels is None else seen.labels
    about = (
        f"{len(seen.points):,} examples of {seen.data}, split {seen.split}, by "
        f"{seen.way}."
    )
    drawn = scatter(seen.points, groups, count, f"Map of {about}")
    shown = ""
    if seen.thumbs is not None:
        found, name = sheets(seen.thumbs)
        shown = f'data-sheet="{name}" data-columns="{found.columns}" data-rows='
        shown += f'"{found.rows}"'
    names = text(json.dumps(seen.names))
    return (
        f'{head}<p class="about">{text(about)}</p>'
        f'<div class="plane" {shown} data-names="{names}">'
        f'{drawn}<div class="tip" hidden></div></div>'
        f'<output class="value">Point at a dot, or use the arrow keys.</output>'
        f"{_classes(seen)}{notes}</article>"
    )


def _classes(seen: Seen) -> str:
    """The legend; its buttons hide classes."""
    if seen.labels is None:
        return ""
    numbers, counts = np.unique(seen.labels, return_counts=True)
    buttons = "".join(
        f'<button type="button" aria-pressed="true" data-group="{i}" '
        f'data-name="{text(seen.classes[i])}"><span class="dot" '
        f'style="background:{colour(int(i), len(seen.classes))}"></span>'
        f"{text(seen.classes[i])} <small>{count:,}</small></button>"
        for i, count in zip(numbers, counts, strict=True)
    )
    every = '<button type="button" class="all">all</button>'
    return (
        '<div class="classes" role="group" aria-label="Classes shown">'
        f"{every}{buttons}</div>"
    )


def _retrievals(run: Recorded, seen: Seen | str, sheets: _Sheets, several: bool) -> str:
    head = f"<h3>{text(run.label)}</h3>" if several else ""
    if isinstance(seen, str):
        return head + note(f"There are no retrievals: {seen}")
    if seen.retrieved is None:
        return head + note("There are too few features to compare.")
    found = seen.retrieved
    left = len(seen.names) - len(found.queries)
    about = (
        f"Left, a query; then what is nearest to it by cosine among the {left:,} other "
        "examples of the map."
    )
    if seen.right is None:
        about += " The queries are spread evenly."
    else:
        about += (
            " A query is the first of its class. Of all examples the nearest other one "
            f"is of the same class for {seen.right:.1%}."
        )
    made = None
    if seen.large:
        places = {point: i for i, point in enumerate(seen.large)}
        made = *sheets(np.stack(list(seen.large.values()))), places
    rows = "".join(
        f"<tr>{_row(seen, *one, made)}</tr>" for one in zip(*found, strict=True)
    )
    names = "".join(
        f'<th scope="col">{i}</th>' for i in range(1, 1 + found.indices.shape[1])
    )
    kind = "retrievals" if made else "retrievals plain"
    return head + _wide(kind, about, "query", names, rows)


def _wide(kind: str, about: str, first: str, names: str, rows: str) -> str:
    """A table of pictures."""
    return (
        f'<p class="about">{text(about)}</p><div class="scroll" role="region" '
        f'tabindex="0" aria-label="{text(kind)}"><table class="{text(kind)}"><thead>'
        f'<tr><th scope="col">{text(first)}</th>{names}</tr></thead><tbody>{rows}'
        "</tbody></table></div>"
    )


_Made = tuple[Sheet, str, dict[int, int]] | None


def _row(
    seen: Seen, query: int, others: np.ndarray, cosines: np.ndarray, made: _Made
) -> str:
    cells = [f'<th scope="row">{_cell(seen, int(query), "", made)}</th>']
    for point, cosine in zip(others, cosines, strict=True):
        kind, mark = "", ""
        if seen.labels is not None:
            same = seen.labels[query] == seen.labels[point]
            kind, mark = ("right", "✓ ") if same else ("wrong", "✗ ")
        inside = _cell(seen, int(point), kind, made)
        cells.append(f"<td>{inside}<small>{mark}{cosine:.2f}</small></td>")
    return "".join(cells)


def _cell(seen: Seen, point: int, kind: str, made: _Made) -> str:
    """A picture with its class, or of recordings the name alone."""
    name = seen.name(point)
    said = f"{name}, {kind}" if kind else name
    if made is None:
        return f'<span class="named {kind}">{text(name)}</span>'
    found, sheet_name, places = made
    shown = tile(found, sheet_name, places[point], said, kind)
    label = "" if seen.labels is None else seen.classes[seen.labels[point]]
    return f"{shown}<small>{text(label)}</small>" if label else shown


def _attention(run: Recorded, seen: Seen, sheets: _Sheets, several: bool) -> str:
    head = f"<h3>{text(run.label)}</h3>" if several else ""
    names, count = list(seen.attention), len(seen.looked)
    pictures = np.stack(list(seen.attention.values()), axis=1)
    made, sheet_name = sheets(pictures.reshape(-1, *pictures.shape[2:]), len(names))
    rows = ""
    for r in range(count):
        shown = [f"{seen.name(seen.looked[r])}, {what}" for what in names]
        first, *others = (
            tile(made, sheet_name, r * len(names) + c, said)
            for c, said in enumerate(shown)
        )
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        rows += f'<tr><th scope="row">{first}</th>{cells}</tr>'
    columns = "".join(f'<th scope="col">{text(name)}</th>' for name in names[1:])
    about = (
        "How much the class token of the last block takes of each patch: of each head "
        "from nothing (dark) to its most (bright), and last the part of the image on "
        "which so much of all heads' attention falls."
    )
    return head + _wide("attention", about, names[0], columns, rows)


def _all_attention(pairs: Sequence[Pair], sheets: _Sheets) -> str:
    """Attention maps of who has them, and a word on who has not."""
    parts, without = [], []
    for run, seen in pairs:
        if isinstance(seen, str):
            parts.append(note(f"{run.label} has no attention maps: {seen}"))
        elif seen.attention:
            parts.append(_attention(run, seen, sheets, len(pairs) > 1))
        else:
            without.append(run.label)
    if without:
        parts.append(note(f"Encoders without attention: {', '.join(without)}."))
    return "".join(parts)
