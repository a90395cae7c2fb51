"""Takes over data sets in the released layout: verified row by row, and completed to data sets of ours.

    columns   query, image, ground_truth, response          as in xqwu/asymmetric-VLM__sudoku and __gc,
                                                            or images, a list of one, in place of image
    adds      id, perception (p*), puzzle, prefix           see percasym.datasets

What cannot be taken is listed, never dropped in silence: FOLDER/rejected.jsonl has a line with split, row and
reason for every row that was not, FOLDER/repeated.jsonl one for every puzzle that occurs in two splits,
FOLDER/equal.jsonl one for every row that is equal to an earlier one of its split. Both kinds stay.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from percasym.datasets import Row, write_dataset
from percasym.errors import PercasymError
from percasym.folders import new_folder
from percasym.importing.card import write_import_card
from percasym.importing.found import COLUMNS, Found, Unreadable
from percasym.importing.sources import open_source
from percasym.importing.verification import verify
from percasym.judgement import Score
from percasym.puzzles import Task

SHOWN = 5  # lines of each list that a report keeps


@dataclass
class SplitReport:
    """What was found in one split."""

    rows: int = 0
    rejected: int = 0
    equal: int = 0
    """Rows that are equal to an earlier one in query, image, ground truth and response."""
    redrawn: int = 0
    """Images of which a plain copy was taken, as not all programs would see them alike."""
    responses: int = 0
    right: int = 0
    """Responses whose answer is right: the `a` of `judgement.Score`."""
    right_caption: int | None = 0
    """Responses whose caption is right: its `a_p`. None where an item has no p*."""
    both: int | None = 0
    incomplete: int = 0
    """Responses without a caption or without an answer."""

    def count(self, judged: Score) -> None:
        """Add one response."""
        self.responses += 1
        self.right += judged.a
        if judged.a_p is None or self.right_caption is None or self.both is None:
            self.right_caption = self.both = None
        else:
            self.right_caption += judged.a_p
            self.both += judged.a and judged.a_p
        self.incomplete += not judged.complete


@dataclass
class ImportReport:
    """What was found in a source."""

    splits: dict[str, SplitReport] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    """The first of them: split, row, reason."""
    repeated: list[dict[str, Any]] = field(default_factory=list)
    """The first rows whose puzzle is in another split too: split, row, other_split, other_row."""
    repeats: int = 0
    equal: list[dict[str, Any]] = field(default_factory=list)
    """The first rows that are equal to an earlier one: split, row, other_row."""
    columns: set[str] = field(default_factory=set)
    """Columns of the source that were not taken."""


def import_dataset(
    source: str,
    out: str | Path,
    told: Task[Any] | None = None,
    progress: Callable[[Any], Any] = lambda row: row,
) -> ImportReport:
    """Write the data set `source`, an id of the Hub or a folder, as one of ours into the new folder `out`.

    Args:
        told: what the puzzles are; None: each is recognised by its ground truth.
        progress: is called with every row that is read, and gives it back.

    Raises:
        PercasymError: no such source, other columns, a split of which no row can be taken, or an `out` that
            is there or cannot be written.
    """
    splits = open_source(source)
    with new_folder(out) as folder:
        importer = _Importer(folder, source, told)
        rows = {split: importer.rows(split, map(progress, found)) for split, found in splits.items()}
        write_dataset(folder, rows)
        write_import_card(folder, source, importer.report)
    return importer.report


class _Importer:
    """Verifies the rows of one split after the other."""

    def __init__(self, folder: Path, source: str, told: Task[Any] | None) -> None:
        self.folder, self.source, self.told = folder, source, told
        self.report = ImportReport()
        self.seen: dict[bytes, tuple[str, int]] = {}

    def rows(self, split: str, found: Iterable[Found]) -> Iterator[Row]:
        """The rows of a split that can be taken."""
        counts = self.report.splits[split] = SplitReport()
        first_reason = "it is empty"
        rows: dict[bytes, int] = {}
        for number, values in enumerate(found):
            try:
                if isinstance(values, Unreadable):
                    raise PercasymError(values.reason)
                verified = verify(values, split, number, self.told)
            except PercasymError as error:
                first_reason = first_reason if counts.rejected else str(error)
                counts.rejected += 1
                self._list("rejected", {"split": split, "row": number, "reason": str(error)})
                continue
            counts.rows += 1
            counts.redrawn += verified.row["image"] != values["image"]
            self.report.columns |= values.keys() - set(COLUMNS)
            if verified.score is not None:
                counts.count(verified.score)
            self._look_for_repeat(split, number, verified.instance)
            earlier = rows.setdefault(_digest(*(values.get(column) for column in COLUMNS)), number)
            if earlier != number:
                counts.equal += 1
                self._list("equal", {"split": split, "row": number, "other_row": earlier})
            yield verified.row
        if not counts.rows:
            raise PercasymError(
                f"split {split!r} of {self.source} has no row that can be taken: {first_reason}"
            )

    def _look_for_repeat(self, split: str, number: int, instance: str) -> None:
        key = _digest(instance)
        other_split, other_row = self.seen.setdefault(key, (split, number))
        if other_split != split:
            self.report.repeats += 1
            line = {"split": split, "row": number, "other_split": other_split, "other_row": other_row}
            self._list("repeated", line)

    def _list(self, name: str, line: dict[str, Any]) -> None:
        shown: list[dict[str, Any]] = getattr(self.report, name)
        if len(shown) < SHOWN:
            shown.append(line)
        with (self.folder / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def _digest(*values: Any) -> bytes:
    """16 bytes that stand for values."""
    return hashlib.blake2b(repr(values).encode(), digest_size=16).digest()
