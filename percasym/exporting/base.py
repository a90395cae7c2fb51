"""What every export says: how many rows of a split it wrote, and how many not, and why."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from percasym.datasets import Row
from percasym.images import plain_image


@dataclass
class Exported:
    """What became of one split."""

    split: str
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows that are not in the export, by reason."""
    note: str = ""
    """What else is not in the export, or how to load it."""

    def sift(self, rows: Iterable[Row], reason: Callable[[Row], str | None]) -> Iterator[Row]:
        """Those of `rows` for which there is no reason to leave them out; both are counted.

        Their images are such that the consumer sees in them what we do.
        """
        for row in rows:
            why = reason(row)
            if why is None:
                self.rows += 1
                yield {**row, "image": row["image"] and plain_image(row["image"])}
            else:
                self.left_out[why] += 1
