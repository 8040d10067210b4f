"""Which rows of a global batch one worker makes, and in what pieces."""

import dataclasses
import math
from typing import NamedTuple


class Cut(NamedTuple):
    """How a worker makes its rows of a batch.

    Attributes:
        first: Its first row of the global batch.
        rows: How many it makes.
        piece: How many it makes at a time, a divisor of `rows`.
        unit: Rows of the batches that are computed with, a multiple of `piece`.
        local: Rows of one replica.
    """

    first: int
    rows: int
    piece: int
    unit: int
    local: int


@dataclasses.dataclass(frozen=True)
class Share:
    """The rows of a global batch that some neighbouring replicas see.

    Attributes:
        replicas: Replicas that share a batch equally, in their order.
        first: The first replica that is meant.
        count: How many are meant.
    """

    replicas: int = 1
    first: int = 0
    count: int = 1

    def cut(self, batch_size: int, most: int) -> Cut:
        """Cuts a share into pieces.

        XLA compiles another program for each batch size, and what they compute differs
        in the last bits. So the size of units depends on the global batch alone, and
        each row has one place in them, whoever makes it.

        Args:
            batch_size: Rows of the global batch.
            most: Most rows of a unit.

        Returns:
            The cut.

        Raises:
            ValueError: If the batch cannot be shared equally.
        """
        local = batch_size // self.replicas
        if local * self.replicas != batch_size:
            raise ValueError(
                f"batch_size {batch_size} cannot be shared equally by {self.replicas} "
                "replicas."
            )
        rows = local * self.count
        unit = _largest_divisor(batch_size, most)
        first = self.first * local
        # Divides the first row too, so that no piece crosses from unit to unit.
        return Cut(first, rows, math.gcd(first, rows, unit), unit, local)


WHOLE = Share()


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)
