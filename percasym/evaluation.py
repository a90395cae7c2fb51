"""Measures a model: end to end (a, a_p), and given the right caption (a_r), on the items of a data set.

    python -m percasym.evaluation CONFIG.json

writes OUT/results.parquet, a row for each item and mode, and OUT/summary.json. Now and then it prints a line
of JSON: {"kind": "progress", "done": ..., "total": ...}. What is finished is kept in OUT/results.jsonl
meanwhile, so that a run that was killed goes on where it stopped. OUT belongs to one evaluation: the same one
again finds its responses there and only judges them, and another one is refused.
"""

import json
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from percasym import child
from percasym.datasets import content_digest, read_split
from percasym.engines import LONGEST, Completion, Engine, Request, Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.errors import PercasymError
from percasym.folders import claim, new_file, write_text
from percasym.journal import Journal
from percasym.judgement import score
from percasym.metrics import Mode, Row, as_json, result_row, summarise, with_causes
from percasym.models import FILES, load_writer
from percasym.models.suitability import check_rows
from percasym.puzzles import Task, load_spec
from percasym.response import oracle_prefix
from percasym.seals import check, file_digest, seal
from percasym.seeding import digest

COLUMNS = ("id", "query", "image", "ground_truth", "perception", "puzzle", "prefix")
MODES: tuple[Mode, ...] = ("end_to_end", "oracle")
RESPONSE = ("id", "mode", "text", "tokens", "finish_reason")
RESULTS, JOURNAL = "results.parquet", "results.jsonl"
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
            task = load_spec(row["puzzle"])
            instance = task.read_ground_truth(row["ground_truth"])
            for mode in modes_of(task, modes):
                if (row["id"], mode) not in finished:
                    prefix = oracle_prefix(row["perception"]) if mode == "oracle" else row["prefix"]
                    request = Request(f"{mode}/{row['id']}", row["query"], row["image"], prefix)
                    waiting[request.id] = partial(_judge, task, instance, row["id"], mode, prefix)
                    yield request

    for completion in engine.generate(requests(), sampling):
        yield waiting.pop(completion.id)(completion)


def modes_of(task: Task[Any], modes: Sequence[Mode]) -> list[Mode]:
    """Those in which an item is measured: without a p* there is no right caption to give."""
    return [mode for mode in modes if mode == "end_to_end" or task.has_perception]


def _judge(task: Task[Any], instance: Any, id: str, mode: Mode, prefix: str, completion: Completion) -> Row:
    text = prefix + completion.text
    judged = score(task, instance, text)
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
    if not any(_size(config.out / name) for name in (RESULTS, JOURNAL)):
        (config.out / "evaluation.json").unlink(missing_ok=True)  # of one that came to nothing
    claim(config.out, "evaluation", _settings(config))

    total = sum(len(modes_of(load_spec(text), config.modes)) for text in data["puzzle"])
    results, progress = config.out / RESULTS, {"kind": "progress", "total": total}
    if results.exists():
        responses = _read(results)
        yield progress | {"done": len(responses)}
    else:
        responses = yield from _respond(config, data, progress)
    rows = with_causes(_judged(responses, config))
    with new_file(results) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, write_page_checksum=True)
    write_text(config.out / "summary.json", json.dumps(as_json(summarise(rows)), indent=2) + "\n")
    (config.out / JOURNAL).unlink(missing_ok=True)
    seal(config.out)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _respond(
    config: EvaluationConfig, data: datasets.Dataset, progress: dict[str, Any]
) -> Generator[dict[str, Any], None, list[Row]]:
    """The rows of all responses: those that an earlier run has left, and the others now."""
    sampling = Sampling(config.temperature, config.top_p, config.max_new_tokens, config.seed)
    with Journal(config.out / JOURNAL) as journal:
        yield progress | {"done": len(journal.values)}
        if len(journal.values) < progress["total"]:
            finished = {(row["id"], row["mode"]) for row in journal.values}
            shown = time.monotonic()
            with open_engine(config) as engine:
                for row in evaluate(engine, data, sampling, config.modes, finished):
                    journal.add(row)
                    if time.monotonic() - shown > PROGRESS_SECONDS:
                        shown = time.monotonic()
                        yield progress | {"done": len(journal.values)}
        yield progress | {"done": len(journal.values)}
        return journal.values


def _read(results: Path) -> list[Row]:
    """The rows of a finished evaluation.

    Raises:
        PercasymError: they are damaged.
    """
    check(results.parent)
    try:
        table = pq.read_table(results, columns=list(RESPONSE), page_checksum_verification=True)
        rows: list[Row] = table.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise PercasymError(
            f"{results} is damaged: delete it to have the responses generated anew"
        ) from error
    return rows


def _judged(responses: Iterable[Row], config: EvaluationConfig) -> list[Row]:
    """Responses in the order of the items, judged by the rule of today: a run of yesterday may have left
    them."""
    kept = {(row["id"], row["mode"]): row for row in responses}
    rows = []
    for item in read_split(config.dataset, config.split, ("id", "ground_truth", "puzzle")):
        for mode in MODES:
            if (row := kept.get((item["id"], mode))) is not None:
                puzzle = load_spec(item["puzzle"])
                judged = score(puzzle, puzzle.read_ground_truth(item["ground_truth"]), row["text"])
                rows.append(
                    result_row(item["id"], mode, row["text"], judged, row["tokens"], row["finish_reason"])
                )
    return rows


def _settings(config: EvaluationConfig) -> dict[str, Any]:
    """All that the responses depend on: the settings, the checkpoint and the data. Where the model runs is
    no part of it: a server that comes back under another address goes on."""
    layout = set(EngineConfig.model_fields) - {"model", "precision"}
    settings = config.model_dump(mode="json", exclude={"out", "dataset", *layout})
    # Nothing of an id of the Hub, which names a version.
    files = sorted(file for kind in FILES for file in Path(config.model).glob(kind))
    return settings | {
        "weights": digest([file_digest(file) for file in files]),
        "data": content_digest(config.dataset),
    }


def main(arguments: Sequence[str]) -> int:
    return child.main(arguments, "percasym.evaluation", EvaluationConfig, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
