"""LLaMA-Factory's conversations with images: its option `dataset_dir` is the folder, `dataset` a split.

    FOLDER/dataset_info.json                 a data set for each split, by the split's name
    FOLDER/train_sft.json                    [{"messages": [user, assistant], "images": [path], ...}, ...]
    FOLDER/images/train_sft/000000.png       as they are in the data set

The first turn begins with "<image>", as in xqwu/asymmetric-VLM__lf. LLaMA-Factory takes "<image>", "<video>"
and "<audio>" anywhere in a text for the place of one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from percasym.datasets import Row, iter_split
from percasym.exporting.base import Exported
from percasym.placeholders import OF_MODELS, OF_PROGRAMS, placeholder

IMAGE = "<image>"
KEPT = ("id", "ground_truth", "puzzle")  # for whoever scores what is learnt; LLaMA-Factory ignores them
INFO: dict[str, Any] = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages", "images": "images"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
    },
}
SUFFIXES = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"RIFF", "webp"))


def write(data: Path, splits: Sequence[str], folder: Path) -> list[Exported]:
    """Write the files of all `splits` that have a row to learn from."""
    exported = [_write_split(data, split, folder) for split in splits]
    info = {found.split: {"file_name": f"{found.split}.json", **INFO} for found in exported if found.rows}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n")
    return exported


def reason_to_leave_out(row: Row) -> str | None:
    """Why LLaMA-Factory cannot learn from `row` as it is meant."""
    if not row["response"]:
        return "no response"
    if row["prefix"]:
        return "a prefix, which would be trained too"
    if placeholder((*OF_PROGRAMS, *OF_MODELS), row["query"], row["response"]):
        return f"{', '.join(OF_PROGRAMS)}, or what models take for an image, in its text"
    return None


def _write_split(data: Path, split: str, folder: Path) -> Exported:
    exported = Exported(split)
    path = folder / f"{split}.json"
    with path.open("w", encoding="utf-8") as file:
        for row in exported.sift(iter_split(data, split), reason_to_leave_out):
            number = exported.rows - 1
            file.write(",\n" if number else "[\n")
            json.dump(_conversation(row, _write_image(row, folder, split, number)), file, ensure_ascii=False)
        file.write("\n]\n")
    if not exported.rows:
        path.unlink()
    return exported


def _write_image(row: Row, folder: Path, split: str, number: int) -> list[str]:
    image: bytes | None = row["image"]
    if image is None:
        return []
    suffix = next((suffix for magic, suffix in SUFFIXES if image.startswith(magic)), "png")
    path = Path("images", split, f"{number:06}.{suffix}")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(image)
    return [path.as_posix()]


def _conversation(row: Row, images: list[str]) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": IMAGE * len(images) + row["query"]},
            {"role": "assistant", "content": row["response"]},
        ],
        "images": images,
        **{column: row[column] for column in KEPT},
    }
