"""Rows of what `save_to_disk` of `datasets` wrote: Arrow files, whose content is checked and never executed.

FOLDER/dataset_dict.json           {"splits": ["train", "test"]}; without it FOLDER is a single split
FOLDER/train/state.json            the names of its Arrow files, in order
FOLDER/train/data-00000-of-00001.arrow
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from percasym.errors import PercasymError
from percasym.importing.found import Found, check_columns, rows_of_batch

SPLITS, STATE = "dataset_dict.json", "state.json"
ONE_SPLIT = "train"  # what `datasets` calls the split of a set that has no others
BATCH_ROWS = 64


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return (folder / SPLITS).is_file() or (folder / STATE).is_file()


def saved_files(folder: Path) -> dict[str, list[Path]]:
    """The Arrow files of each split.

    Raises:
        PercasymError: what names them cannot be read, or names files elsewhere.
    """
    if not (folder / SPLITS).is_file():
        name = _read(folder / STATE).get("_split")
        is_name = isinstance(name, str) and re.fullmatch(r"\w+", name)
        return {str(name) if is_name else ONE_SPLIT: _files(folder)}
    names = _read(folder / SPLITS).get("splits")
    return {name: _files(folder / name) for name in _names(folder / SPLITS, names)}


def rows_of_arrow(path: Path) -> Iterator[Found]:
    """The rows of an Arrow stream.

    Raises:
        PercasymError: it lacks a column.
        OSError, pyarrow.ArrowException: it cannot be read, or is corrupt.
    """
    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
        check_columns(path, stream.schema.names)
        for batch in stream:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield from rows_of_batch(batch.slice(start, BATCH_ROWS))


def _files(folder: Path) -> list[Path]:
    files = _read(folder / STATE).get("_data_files")
    names = [file.get("filename") if isinstance(file, dict) else None for file in files or [None]]
    return [folder / name for name in _names(folder / STATE, names)]


def _names(path: Path, names: Any) -> list[str]:
    """Names of things in the folder of `path`, and of nothing elsewhere."""
    if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
        raise PercasymError(f"{path} does not name what save_to_disk writes: {str(names)[:80]}")
    if elsewhere := [name for name in names if name != Path(name).name]:
        raise PercasymError(f"{path} names what is elsewhere: {elsewhere[0][:80]!r}")
    return names


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PercasymError(f"cannot read {path}: {type(error).__name__}") from None
    return value if isinstance(value, dict) else {}
