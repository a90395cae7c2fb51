"""TRL's conversations with images, in two configurations by what a split has to offer.

    load_dataset(FOLDER, "prompt_completion")   splits with responses, for the SFTTrainer
    load_dataset(FOLDER, "prompt_only")         splits without any, for the GRPOTrainer

A prompt is one turn of plain text; TRL itself puts the image before it. What scoring needs goes along, as
arguments of a reward function: `ground_truth`, `perception` and `puzzle`. The GRPOTrainer takes
"prompt_completion" too, and ignores the completions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from percasym.datasets import Row, iter_split
from percasym.exporting.base import Exported
from percasym.placeholders import OF_MODELS, placeholder

Kind = Literal["prompt_only", "prompt_completion"]

GROUP_ROWS = 128
TURNS = datasets.List({"role": datasets.Value("string"), "content": datasets.Value("string")})
KEPT = ("id", "ground_truth", "perception", "puzzle")
PROMPT_ONLY = datasets.Features({
    "prompt": TURNS,
    "images": datasets.List(datasets.Image()),
    **{column: datasets.Value("string") for column in KEPT},
})  # fmt: skip
FEATURES: dict[Kind, datasets.Features] = {
    "prompt_only": PROMPT_ONLY,
    "prompt_completion": datasets.Features({**PROMPT_ONLY, "completion": TURNS}),
}


def write(data: Path, splits: Sequence[str], folder: Path) -> list[Exported]:
    """Write a file KIND/SPLIT.parquet for each of `splits`, and the card that names them."""
    files: dict[Kind, list[dict[str, str]]] = {}
    exported = []
    for split in splits:
        kind = kind_of(data, split)
        path = folder / kind / f"{split}.parquet"
        path.parent.mkdir(exist_ok=True)
        found = _write_split(data, split, kind, path)
        if found.rows:
            files.setdefault(kind, []).append({"split": split, "path": f"{kind}/{split}.parquet"})
        exported.append(found)
    header = {"configs": [{"config_name": kind, "data_files": paths} for kind, paths in files.items()]}
    text = f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n```\n{__doc__}```\n"
    (folder / "README.md").write_text(text)
    return exported


def kind_of(data: Path, split: str) -> Kind:
    """What TRL calls the type of the split."""
    has_responses = any(row["response"] for row in iter_split(data, split, ["response"]))
    return "prompt_completion" if has_responses else "prompt_only"


def _write_split(data: Path, split: str, kind: Kind, path: Path) -> Exported:
    exported = Exported(split, note=f'load_dataset(FOLDER, "{kind}")')

    def reason(row: Row) -> str | None:
        if row["prefix"]:
            return "a prefix of the response"
        if placeholder(OF_MODELS, row["query"], row["response"]):
            return "what models take for an image in its text"
        return "no response" if kind == "prompt_completion" and not row["response"] else None

    schema = FEATURES[kind].arrow_schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = (_conversation(row, kind) for row in exported.sift(iter_split(data, split), reason))
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    if not exported.rows:
        path.unlink()
    return exported


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rows = iter(rows)
    while group := list(islice(rows, GROUP_ROWS)):
        yield group


def _conversation(row: Row, kind: Kind) -> dict[str, Any]:
    conversation = {
        "prompt": [{"role": "user", "content": row["query"]}],
        "images": [] if row["image"] is None else [{"bytes": row["image"], "path": None}],
        **{column: row[column] for column in KEPT},
    }
    if kind == "prompt_completion":
        conversation["completion"] = [{"role": "assistant", "content": row["response"]}]
    return conversation
