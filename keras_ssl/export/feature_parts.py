"""Features on their way into a file: parts of fixed rows, each whole or absent."""

import csv
import dataclasses
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_ssl.core import durable

# What a column may be called, in the order that files have them.
COLUMNS = ("index", "id", "label", "features")
_REASONS = "reasons"


@dataclasses.dataclass(frozen=True)
class FeatureParts:
    """A folder of parts; part `p` holds the rows `[p * rows, (p + 1) * rows)`.

    Attributes:
        folder: Where they are.
        rows: Examples of the source in each part, those that cannot be read included.
        count: Examples of the source.
    """

    folder: pathlib.Path
    rows: int
    count: int

    def __len__(self) -> int:
        return -(-self.count // self.rows)

    def span(self, part: int) -> range:
        """The examples of a part, by their numbers in the source."""
        return range(part * self.rows, min((part + 1) * self.rows, self.count))

    def done(self) -> int:
        """How many parts there are from the first on."""
        there = {
            int(path.stem)
            for path in self.folder.glob("*.npz")
            if re.fullmatch(r"\d{8}", path.stem)
        }
        return next(part for part in range(len(self) + 1) if part not in there)

    def write(
        self,
        part: int,
        columns: Mapping[str, np.ndarray],
        skipped: Mapping[int, tuple[str, str]],
    ) -> None:
        """Keeps a part.

        Args:
            part: Its number.
            columns: Arrays of one length: `index` `(m,)`, `id` `(m,)`, `features`
                `(m, d)`, and `label` where there are labels.
            skipped: By its number what could not be read: where it is, and why.

        Raises:
            durable.WriteError: If the disk is full, or another limit is met.
        """
        needed = sum(array.nbytes for array in columns.values())
        reasons = np.array([[str(n), *why] for n, why in skipped.items()], str)
        arrays: Any = {**columns, _REASONS: reasons.reshape(-1, 3)}
        with durable.replacing(self._path(part), needed=needed) as file:
            np.savez(file, **arrays)

    def read(self, part: int) -> dict[str, np.ndarray]:
        """The columns of a part.

        Raises:
            ValueError: If it is damaged.
        """
        return {name: self._array(part, name) for name in self.names()}

    def names(self) -> list[str]:
        """Which columns there are."""
        with np.load(self._path(0)) as found:
            return [name for name in COLUMNS if name in found.files]

    def column(self, name: str) -> Iterator[np.ndarray]:
        """One column, part by part."""
        return (self._array(part, name) for part in range(len(self)))

    def write_skipped(self, path: pathlib.Path) -> int:
        """Writes a CSV file of what could not be read; returns how many there are."""
        count = 0
        with durable.replacing(path, "w") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["index", "id", "reason"])
            for reasons in self.column(_REASONS):
                writer.writerows(reasons.tolist())
                count += len(reasons)
        return count

    def _array(self, part: int, name: str) -> np.ndarray:
        path = self._path(part)
        try:
            with np.load(path) as found:
                return found[name]
        except (zipfile.BadZipFile, ValueError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged: {error}. Remove it and give the same command "
                "again: it is made anew."
            ) from error

    def _path(self, part: int) -> pathlib.Path:
        return self.folder / f"{part:08d}.npz"
