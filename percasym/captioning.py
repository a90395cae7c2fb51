"""A teacher's captions: what a checkpoint says it sees in each image of a split, once and greedily.

    python -m percasym.captioning CONFIG.json

writes OUT, a line {"id": ..., "caption": ...} for each item in the order of the split, and now and then
prints a line of JSON: {"kind": "progress", "done": ..., "total": ...}. Nothing is generated beyond the
caption, so this is cheap beside any training. The captions are pseudo-labels: see the surrogate `teacher`.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from percasym import child
from percasym.datasets import read_split
from percasym.engines import LONGEST, Engine, Request, Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.errors import PercasymError
from percasym.folders import write_text
from percasym.models import load_writer
from percasym.models.suitability import check_rows
from percasym.response import parse

COLUMNS = ("id", "query", "image", "prefix")


class CaptioningConfig(EngineConfig, frozen=True):
    """Who captions what."""

    dataset: str = Field(description="Data set: a folder")
    split: str = Field(default="train_rl", description="Split to caption")
    out: Path = Field(description="File of the captions")
    max_new_tokens: int = Field(default=LONGEST, gt=0, description="Where a caption is given up")


def captions(engine: Engine, rows: Iterable[Mapping[str, Any]], max_tokens: int) -> Iterator[tuple[str, str]]:
    """(id, caption) of each row with `COLUMNS`, as they come; the caption is "" if the teacher ends none."""
    prefixes: dict[str, str] = {}

    def requests() -> Iterator[Request]:
        for row in rows:
            prefixes[row["id"]] = row["prefix"]
            yield Request(row["id"], row["query"], row["image"], row["prefix"])

    for completion in engine.generate(requests(), Sampling(max_tokens=max_tokens, stop="</caption>")):
        yield completion.id, parse(prefixes.pop(completion.id) + completion.text).caption or ""


def run(config: CaptioningConfig) -> Iterator[dict[str, Any]]:
    """Captions a split, writes what this module's description says, and yields records of progress.

    Raises:
        PercasymError: the data set, its split, an image or the checkpoint is not there or cannot be read; the
            model cannot take an item.
    """
    rows = read_split(config.dataset, config.split, COLUMNS)
    if not config.server:
        check_rows(load_writer(config.model), rows)
    found: dict[str, str] = {}
    with open_engine(config) as engine:
        for id_, caption in captions(engine, rows, config.max_new_tokens):
            found[id_] = caption
            if len(found) % config.batch_size == 0 or len(found) == len(rows):
                yield {"kind": "progress", "done": len(found), "total": len(rows)}
    config.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": id_, "caption": found[id_]}) + "\n" for id_ in rows["id"]]
    write_text(config.out, "".join(lines))


def read_captions(path: Path) -> dict[str, str]:
    """The captions of a file of lines {id, caption}, by item.

    Raises:
        PercasymError: the file cannot be read, or a line is something else.
    """
    found = {}
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):  # noqa: B007 - told
            match json.loads(line):
                case {"id": str(id_), "caption": str(caption)}:
                    found[id_] = caption
                case _:
                    raise ValueError("another object")
    except OSError as error:
        raise PercasymError(f"cannot read the captions {path}: {error.strerror}") from error
    except ValueError as error:
        raise PercasymError(
            f'{path}, line {number}: write {{"id": text, "caption": text}} ({error})'
        ) from error
    return found


if __name__ == "__main__":
    sys.exit(child.main(sys.argv[1:], "percasym.captioning", CaptioningConfig, run))
