"""Measures a model: end to end (a, a_p), and given the right caption (a_r), on the items of a data set.

    python -m percasym.evaluation CONFIG.json

writes OUT/results.parquet, a row for each item and mode, and OUT/summary.json. Now and then it prints a line
of JSON: {"kind": "progress", "done": ..., "total": ...}. What is finished is kept in OUT/results.jsonl
meanwhile, so that a run that was killed goes on where it stopped.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from percasym import child
from percasym.datasets import content_digest, read_split
from percasym.engines import LONGEST, Completion, Engine, Request, Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.errors import PercasymError
from percasym.judgement import score
from percasym.metrics import Mode, Row, as_json, result_row, summarise, with_causes
from percasym.models import FILES, load_writer
from percasym.models.suitability import check_rows
from percasym.puzzles import Puzzle, load_spec
from percasym.response import oracle_prefix
from percasym.seeding import digest

COLUMNS = ("id", "query", "image", "ground_truth", "perception", "puzzle", "prefix")
MODES: tuple[Mode, ...] = ("end_to_end", "oracle")
PROGRESS_SECONDS = 1.0

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("mode", pa.string()),
        ("text", pa.string()),
        ("a", pa.bool_()),
        ("a_partial", pa.float64()),
        ("a_p", pa.bool_()),
        ("a_p_partial", pa.float64()),
        ("a_own", pa.bool_()),
        ("format", pa.bool_()),
        ("complete", pa.bool_()),
        ("caption_read", pa.bool_()),
        ("answer_read", pa.bool_()),
        ("cause", pa.string()),
        ("tokens", pa.int64()),
        ("finish_reason", pa.string()),
    ]
)


class EvaluationConfig(EngineConfig, frozen=True):
    """What to measure on what, and how."""

    dataset: str = Field(description="Data set: a folder")
    split: str = Field(default="test", description="Split to measure on")
    out: Path = Field(description="Folder of the results")
    limit: int | None = Field(default=None, gt=0, description="Take only this many items, the first ones")
    max_new_tokens: int = Field(default=LONGEST, gt=0, description="Where a response is cut off")
    temperature: float = Field(default=0.0, ge=0, description="0: always the most probable token")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Probability that is sampled from")
    seed: int = Field(default=0, description="Seed of the sampling")
    modes: tuple[Mode, ...] = Field(
        default=MODES, min_length=1, description="end_to_end for a and a_p, oracle for a_r"
    )


def evaluate(
    engine: Engine,
    rows: Iterable[Mapping[str, Any]],
    sampling: Sampling,
    modes: Sequence[Mode] = MODES,
    finished: Collection[tuple[str, str]] = (),
) -> Iterator[Row]:
    """Generates and scores a response for each item and mode, and yields them as they come.

    The cause of an error takes both responses to an item, hence `with_causes` finds it when all are there. No
    more of `rows` is read ahead than the engine asks for.

    Args:
        rows: rows of a data set, with `COLUMNS`.
        finished: the (id, mode) of responses to leave out.

    Raises:
        PercasymError: two rows have the same id, or a row has no puzzle or ground truth that can be read.
    """
    waiting: dict[str, Callable[[Completion], Row]] = {}
    seen: set[str] = set()

    def requests() -> Iterator[Request]:
        for row in rows:
            if row["id"] in seen:
                raise PercasymError(f"the data set has two items with the id {row['id']!r}")
            seen.add(row["id"])
            puzzle = load_spec(row["puzzle"])
            instance = puzzle.read_ground_truth(row["ground_truth"])
            for mode in modes:
                if (row["id"], mode) not in finished:
                    prefix = oracle_prefix(row["perception"]) if mode == "oracle" else row["prefix"]
                    request = Request(f"{mode}/{row['id']}", row["query"], row["image"], prefix)
                    waiting[request.id] = partial(_judge, puzzle, instance, row["id"], mode, prefix)
                    yield request

    for completion in engine.generate(requests(), sampling):
        yield waiting.pop(completion.id)(completion)


def _judge(
    puzzle: Puzzle[Any], instance: Any, id: str, mode: Mode, prefix: str, completion: Completion
) -> Row:
    text = prefix + completion.text
    judged = score(puzzle, instance, text)
    return result_row(id, mode, text, judged, completion.tokens, completion.finish_reason)


def run(config: EvaluationConfig) -> Iterator[dict[str, Any]]:
    """Evaluates a checkpoint, writes what this module's description says, and yields records of progress.

    Raises:
        PercasymError: the data set, its split, an image or the checkpoint is not there or cannot be read; the
            model cannot take an item; a server cannot be reached, or fails for good.
    """
    data = read_split(config.dataset, config.split, COLUMNS)
    if config.limit is not None:
        data = data.select(range(min(config.limit, len(data))))
    if not config.server:  # what a server's model takes only that server knows
        check_rows(load_writer(config.model), data)
    sampling = Sampling(config.temperature, config.top_p, config.max_new_tokens, config.seed)

    progress = {"kind": "progress", "total": len(data) * len(config.modes)}
    with open_engine(config) as engine, Journal(config.out / "results.jsonl", _key(config)) as journal:
        yield progress | {"done": len(journal.rows)}
        shown = time.monotonic()
        finished = {(row["id"], row["mode"]) for row in journal.rows}
        for row in evaluate(engine, data, sampling, config.modes, finished):
            journal.add(row)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                yield progress | {"done": len(journal.rows)}
        yield progress | {"done": len(journal.rows)}

    places = {id: place for place, id in enumerate(data["id"])}
    rows = with_causes(sorted(journal.rows, key=lambda row: (places[row["id"]], MODES.index(row["mode"]))))
    with _aside(config.out / "results.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    with _aside(config.out / "summary.json") as path:
        path.write_text(json.dumps(as_json(summarise(rows)), indent=2) + "\n")
    journal.path.unlink()


class Journal:
    """The rows of an unfinished evaluation, in a file to which each is appended as it comes.

    The file begins with a line that says which evaluation it is of. Opening one of the same evaluation takes
    over its rows, but for a last line that was torn.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self.rows: list[Row] = []

    def __enter__(self) -> "Journal":
        self.rows = self._kept()
        with _aside(self.path) as path:
            path.write_text("".join(f"{line}\n" for line in [self.key, *map(json.dumps, self.rows)]))
        self.file = self.path.open("a", buffering=1)
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def add(self, row: Row) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.rows.append(row)

    def _kept(self) -> list[Row]:
        if not self.path.exists():
            return []
        key, *lines = self.path.read_text().split("\n")
        if key != self.key:
            return []
        rows: list[Row] = []
        for line in lines:
            with suppress(json.JSONDecodeError):
                rows.append(json.loads(line))
        return rows


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A file that takes the place of `path` once it is written completely."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _key(config: EvaluationConfig) -> str:
    """A digest of all that the results depend on: the settings, the checkpoint and the data."""
    layout = set(EngineConfig.model_fields) - {"model", "precision", "server"}
    settings = config.model_dump(mode="json", exclude={"out", *layout})
    checkpoint = []  # nothing of an id of the Hub, which names a version
    for file in sorted(file for kind in FILES for file in Path(config.model).glob(kind)):
        with file.open("rb") as content:
            checkpoint.append(hashlib.file_digest(content, "sha256").hexdigest())
    return digest("evaluation", settings, checkpoint, content_digest(config.dataset))


def main(arguments: Sequence[str]) -> int:
    return child.main(arguments, "percasym.evaluation", EvaluationConfig, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
