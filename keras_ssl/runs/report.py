"""A report on runs: one page that opens anywhere, and its figures as PNGs."""

import os
import pathlib
import tempfile
from collections.abc import Sequence

from keras_ssl.core import console, durable
from keras_ssl.runs import report_features, report_page, report_pictures, report_records
from keras_ssl.runs.report_features import Asked, Seen
from keras_ssl.runs.report_records import Recorded


def report(
    paths: Sequence[str],
    out: str | pathlib.Path,
    asked: Asked | None = None,
    png_dir: str | pathlib.Path | None = None,
    overwrite: bool = False,
) -> pathlib.Path:
    """Writes a page of what runs recorded and of what their encoders see.

    The page is one file without any address in it, the same for the same records,
    weights and data. What cannot be shown, such as a map of a run without checkpoint,
    is said on it. The figures are also written as PNGs.

    Args:
        paths: Run directories, or exports.
        out: The page to make.
        asked: What to show encoders; 2,000 images of each run's own data if None.
        png_dir: Where figures go; a folder beside the page, named after it, if None.
        overwrite: Whether a page, and figures of the same names, may be replaced.

    Returns:
        The folder of figures.

    Raises:
        ValueError: If there is no such run, the data that were asked for are unknown
            or do not fit, or `out` exists.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    asked = Asked() if asked is None else asked
    out = pathlib.Path(out)
    folder = out.with_name(f"{out.stem}_files") if png_dir is None else png_dir
    folder = pathlib.Path(folder)
    _check_free(out, folder, overwrite)
    runs = report_records.read(paths)
    # All of them first: a mistake is told before anything is computed.
    opened = [report_features.opened(run, asked) for run in runs]
    seen: list[Seen | str] = []
    for run, found in zip(runs, opened, strict=True):
        if isinstance(found, str):
            console.say(f"{run.label}: no features are shown. {found}")
            seen.append(found)
        else:
            seen.append(report_features.look(found, asked))
    _write(out, folder, runs, seen)
    return folder


def _write(
    out: pathlib.Path,
    folder: pathlib.Path,
    runs: Sequence[Recorded],
    seen: Sequence[Seen | str],
) -> None:
    """Writes the page with its figures, or nothing."""
    page = report_page.page(runs, seen)
    with durable.replacing(out, "w", len(page)) as file, durable.explained(folder):
        file.write(page)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # What fails here leaves no page either.
        with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
            report_pictures.draw(pathlib.Path(aside), runs, seen)
            folder.mkdir(exist_ok=True)
            for path in sorted(pathlib.Path(aside).iterdir()):
                os.replace(path, folder / path.name)


def _check_free(out: pathlib.Path, folder: pathlib.Path, overwrite: bool) -> None:
    """Refuses to write over what is there, or where no file can be."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder; give --out a file, such as report.html.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give another --png_dir.")
    there = [out] if out.exists() else []
    there += [folder] if folder.is_dir() and any(folder.iterdir()) else []
    if there and not overwrite:
        raise ValueError(
            f"{there[0]} exists; give --overwrite, or another --out and --png_dir."
        )
