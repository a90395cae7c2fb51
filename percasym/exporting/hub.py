"""A folder to upload as it is: our data set, and a view of it that has the released columns alone.

    load_dataset(FOLDER)               all columns
    load_dataset(FOLDER, "released")   query, image, ground_truth, response, as in xqwu/asymmetric-VLM__gc

Both read the same files.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub import DatasetCard
from yaml import YAMLError

from percasym.datasets import Row, iter_split, split_names, write_dataset
from percasym.errors import PercasymError
from percasym.exporting.base import Exported
from percasym.folders import leads_out

RELEASED = ["query", "image", "ground_truth", "response"]


def write(data: Path, splits: Sequence[str], folder: Path) -> list[Exported]:
    """Write `splits`, with the card of `data` where it has one."""
    exported = [Exported(split) for split in splits]
    write_dataset(folder, {found.split: _counted(found, data) for found in exported})
    (default,) = _card(folder).data["configs"]
    if leads_out(data / "README.md", data):
        raise PercasymError(f"{data}/README.md is a link out of the folder: copy there what it should hold")
    card = _card(data if (data / "README.md").is_file() else folder)
    released = {"config_name": "released", "columns": RELEASED, "data_files": default["data_files"]}
    card.data["configs"] = [default, released]
    if list(splits) != split_names(data):
        card.text += f"\nThis copy has of these splits: {', '.join(splits)}.\n"
    card.save(folder / "README.md")
    return exported


def _counted(exported: Exported, data: Path) -> Iterator[Row]:
    return exported.sift(iter_split(data, exported.split), lambda row: None)


def _card(folder: Path) -> DatasetCard:
    try:
        return DatasetCard((folder / "README.md").read_text())
    except (ValueError, YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PercasymError(f"the header of {folder}/README.md cannot be read: {reason}") from error
