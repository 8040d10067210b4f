"""Sections of a report on what encoders make of images."""

import hashlib
from collections.abc import Sequence

import numpy as np

from keras_ssl.runs.report_attention import Attention
from keras_ssl.runs.report_features import Retrieved, Seen
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
    return {
        "Map": f'<div class="maps">{maps}</div>',
        "Retrievals": "".join(_retrievals(*p, sheets, several) for p in pairs),
        "Attention maps": "".join(_attention(*p, sheets, several) for p in pairs),
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
    numbers = ",".join(map(str, seen.index))
    return (
        f'{head}<p class="about">{text(about)}</p>'
        f'<div class="plane" {shown} data-kind="{seen.kind}" data-index="{numbers}">'
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
    about = (
        f"Left, a query; then what is nearest to it by cosine among the "
        f"{len(seen.index):,} examples of the map."
    )
    if seen.labels is None:
        about += " The queries are spread evenly."
    else:
        about += (
            " A query is the first of its class. Of all examples the nearest other one "
            f"is of the same class for {found.right:.1%}."
        )
    rows = "".join(
        f"<tr>{_row(seen, found, i, sheets)}</tr>" for i in range(len(found.rows))
    )
    names = "".join(f'<th scope="col">{i}</th>' for i in range(1, found.rows.shape[1]))
    return (
        f'{head}<p class="about">{text(about)}</p><div class="scroll" role="region" '
        'tabindex="0" aria-label="Retrievals"><table class="retrievals"><thead><tr>'
        f'<th scope="col">query</th>{names}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _row(seen: Seen, found: Retrieved, number: int, sheets: _Sheets) -> str:
    query, *others = (int(point) for point in found.rows[number])
    cells = [f'<th scope="row">{_cell(seen, found, number, 0, "", sheets)}</th>']
    for place in range(1, 1 + len(others)):
        kind, mark = "", ""
        if seen.labels is not None:
            same = seen.labels[query] == seen.labels[others[place - 1]]
            kind, mark = ("right", "✓ ") if same else ("wrong", "✗ ")
        cosine = f"{mark}{found.near[number, place - 1]:.2f}"
        inside = _cell(seen, found, number, place, kind, sheets)
        cells.append(f"<td>{inside}<small>{cosine}</small></td>")
    return "".join(cells)


def _cell(
    seen: Seen, found: Retrieved, row: int, place: int, kind: str, sheets: _Sheets
) -> str:
    """A picture with its class, or of recordings the name alone."""
    point = int(found.rows[row, place])
    name = seen.name(point)
    said = f"{name}, {kind}" if kind else name
    if found.pictures is None:
        return f'<span class="named {kind}">{text(said)}</span>'
    width = found.rows.shape[1]
    flat = found.pictures.reshape(-1, *found.pictures.shape[2:])
    made, sheet_name = sheets(flat, width)
    shown = tile(made, sheet_name, row * width + place, said, kind)
    label = "" if seen.labels is None else seen.classes[seen.labels[point]]
    return f"{shown}<small>{text(label)}</small>" if label else shown


def _attention(run: Recorded, seen: Seen | str, sheets: _Sheets, several: bool) -> str:
    head = f"<h3>{text(run.label)}</h3>" if several else ""
    if isinstance(seen, str):
        return head + note(f"There are no attention maps: {seen}")
    if seen.attention is None:
        return head + note("This encoder has no attention to show.")
    found: Attention = seen.attention
    count, width = found.pictures.shape[:2]
    flat = found.pictures.reshape(-1, *found.pictures.shape[2:])
    made, name = sheets(flat, width)
    heads = [f"head {i + 1}" for i in range(width - 2)]
    names = ["image", f"mean of {found.heads} heads", *heads]
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{tile(made, name, r * width + c, f'image {found.index[r]}, {what}')}"
            "</td>"
            for c, what in enumerate(names)
        )
        + "</tr>"
        for r in range(count)
    )
    head_row = "".join(f'<th scope="col">{text(n)}</th>' for n in names)
    about = (
        "How much the class token of the last block takes of each patch, from nothing "
        "(dark) to the most of that map (bright)."
    )
    return (
        f'{head}<p class="about">{text(about)}</p><div class="scroll" role="region" '
        'tabindex="0" aria-label="Attention"><table class="attention"><thead><tr>'
        f"{head_row}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
