"""What a person sees: progress on standard error, results on standard output."""

import sys

_speaker: list[str] = []


def speak_as(name: str) -> None:
    """Begins every line that is said from now on with a name: of several workers."""
    _speaker[:] = [f"{name}: "] if name else []


def say(text: str = "") -> None:
    """Writes a line."""
    sys.stderr.write("".join(_speaker) + text + "\n")
    sys.stderr.flush()


def write(text: str) -> None:
    """Writes what was asked for, on standard output, so that it can be piped."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def show(rows: list[dict[str, str]]) -> None:
    """Writes a table on standard output."""
    write(table(rows))


def interactive() -> bool:
    """Whether a line may be written over: a terminal, not a file or a pipe."""
    return sys.stderr.isatty()


def overwrite(text: str) -> None:
    """Writes over the current line of a terminal."""
    sys.stderr.write(f"\r\033[K{text}")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """`4 s`, `2:05` or `3:20:00`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{rest // 60}:{rest % 60:02d}" if rest >= 60 else f"{rest} s"


def size(count: float) -> str:
    """Bytes as `512 MiB` or `1.5 GiB`."""
    mebibytes = count / 2**20
    if mebibytes >= 1000:
        return f"{mebibytes / 1024:.1f} GiB"
    return f"{mebibytes:.0f} MiB" if mebibytes >= 10 else f"{mebibytes:.1f} MiB"


def table(rows: list[dict[str, str]]) -> str:
    """Left-aligned columns under their names; missing cells stay empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([row.get(c, "") for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
