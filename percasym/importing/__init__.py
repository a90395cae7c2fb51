"""Takes over data sets in the released layout: verified row by row, and completed to data sets of ours.

    columns   query, image, ground_truth, response          as in xqwu/asymmetric-VLM__sudoku and __gc
    adds      id, perception (p*), puzzle, prefix           see percasym.datasets

What cannot be taken is listed, never dropped in silence: FOLDER/rejected.jsonl has a line with split, row and
reason for every row that was not, FOLDER/repeated.jsonl one for every puzzle that occurs in two splits.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from percasym.datasets import Row, write_dataset
from percasym.errors import PercasymError
from percasym.folders import new_folder
from percasym.importing.card import write_import_card
from percasym.importing.sources import Found, Unreadable, open_source
from percasym.importing.verification import COLUMNS, NEEDED, verify
from percasym.judgement import Score
from percasym.puzzles import Puzzle

SHOWN = 5  # lines of each list that a report keeps


@dataclass
class SplitReport:
    """What was found in one split."""

    rows: int = 0
    rejected: int = 0
    responses: int = 0
    right: int = 0
    """Responses whose answer is right: the `a` of `judgement.Score`."""
    right_caption: int = 0
    """Responses whose caption is right: its `a_p`."""
    both: int = 0
    incomplete: int = 0
    """Responses without a caption or without an answer."""

    def count(self, judged: Score) -> None:
        """Add one response."""
        self.responses += 1
        self.right += judged.a
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
    columns: set[str] = field(default_factory=set)
    """Columns of the source that were not taken."""


def import_dataset(
    source: str,
    out: str | Path,
    told: Puzzle[Any] | None = None,
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

    def __init__(self, folder: Path, source: str, told: Puzzle[Any] | None) -> None:
        self.folder, self.source, self.told = folder, source, told
        self.report = ImportReport()
        self.seen: dict[bytes, tuple[str, int]] = {}

    def rows(self, split: str, found: Iterable[Found]) -> Iterator[Row]:
        """The rows of a split that can be taken."""
        counts = self.report.splits[split] = SplitReport()
        first_reason = "it is empty"
        checked = False
        for number, values in enumerate(found):
            if not checked and not isinstance(values, Unreadable):
                self.report.columns |= self._other_columns(split, values)
                checked = True
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
            if verified.score is not None:
                counts.count(verified.score)
            self._look_for_repeat(split, number, verified.instance)
            yield verified.row
        if not counts.rows:
            raise PercasymError(
                f"split {split!r} of {self.source} has no row that can be taken: {first_reason}"
            )

    def _other_columns(self, split: str, values: Mapping[str, Any]) -> set[str]:
        """The columns that are not taken, if all are there that are needed."""
        if not values.keys() >= set(NEEDED):
            names = ", ".join(sorted(map(str, values)))
            hint = "; it may be LLaMA-Factory's layout, which has no ground truth" * ("messages" in values)
            raise PercasymError(
                f"split {split!r} of {self.source} has the columns {names[:200]}, "
                f"but {', '.join(NEEDED)} are needed{hint}"
            )
        return set(values) - set(COLUMNS)

    def _look_for_repeat(self, split: str, number: int, instance: str) -> None:
        key = hashlib.blake2b(instance.encode(), digest_size=16).digest()
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
