"""The responses that figures are made of, kept so that they can be scored again by a later rule.

results/responses/NAME.parquet has a row for each model, item and mode of one study: model, id, mode, text,
tokens, finish_reason. What made them (command, commit, machine) is in the file's own metadata.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import record

from percasym.judgement import score
from percasym.metrics import result_row, with_causes
from percasym.puzzles import Puzzle

FOLDER = record.HERE / "results" / "responses"
COLUMNS = ("model", "id", "mode", "text", "tokens", "finish_reason")
ORIGIN = b"origin"


def keep(name: str, models: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Writes the responses of each model of one study."""
    rows = [{"model": model, **row} for model, rows in models.items() for row in rows]
    table = pa.Table.from_pylist([{column: row[column] for column in COLUMNS} for row in rows])
    FOLDER.mkdir(parents=True, exist_ok=True)
    origin = {ORIGIN: json.dumps(record.origin()).encode()}
    pq.write_table(table.replace_schema_metadata(origin), FOLDER / f"{name}.parquet", compression="zstd")


def is_kept(name: str) -> bool:
    return (FOLDER / f"{name}.parquet").exists()


def origin(name: str) -> dict[str, Any]:
    """The commit, command and machine that wrote them."""
    found: dict[str, Any] = json.loads(pq.read_schema(FOLDER / f"{name}.parquet").metadata[ORIGIN])
    return found


def scored(name: str, puzzle: Puzzle[Any]) -> dict[str, list[Any]]:
    """The rows of each model, as `percasym.metrics` has them, by the rule of today.

    Args:
        puzzle: the family with the study's options, from which the items are drawn again.
    """
    models: dict[str, list[Any]] = {}
    instances: dict[str, Any] = {}
    for row in pq.read_table(FOLDER / f"{name}.parquet").to_pylist():
        id = row["id"]
        if id not in instances:
            _, split, seed, index = id.rsplit("-", 3)
            instances[id] = puzzle.item(split, int(seed), int(index)).instance
        judged = score(puzzle, instances[id], row["text"])
        found = result_row(id, row["mode"], row["text"], judged, row["tokens"], row["finish_reason"])
        models.setdefault(row["model"], []).append(found)
    return {model: with_causes(rows) for model, rows in models.items()}
