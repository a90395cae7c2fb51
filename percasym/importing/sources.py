"""Rows as others wrote them: from the Hub or a folder, one after the other, nothing decoded or executed."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from percasym.errors import PercasymError
from percasym.folders import leads_out
from percasym.importing.found import Found, Unreadable, check_columns, one_line, rows_of_batch, with_image
from percasym.importing.saved import is_saved, rows_of_arrow, saved_files
from percasym.importing.texts import SUFFIXES, rows_of_text

BATCH_ROWS = 64
BUFFER = 1 << 20  # bytes; without one a whole group of rows is read at once, however large
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
HUB_FORMATS = ("parquet", "json")
SHARD = re.compile(r"-\d{5}-of-\d{5}.*")


def open_source(source: str) -> dict[str, Iterator[Found]]:
    """The rows of each split of `source`, an id of the Hub or a folder.

    In a folder the splits are named by its files: train_sft.jsonl, test-00000-of-00002.parquet,
    test/0.parquet. A folder that `save_to_disk` of `datasets` wrote is read as that, one with parquet files
    from these alone, any other from its JSON and JSONL files, which may be compressed (.gz). An image may be
    the path of a file in the folder. No link is followed out of it.

    Raises:
        PercasymError: there is no such source, or it has no such files; a file is a link out of the folder;
            on iteration, a file that is corrupt or cannot be read.
    """
    if Path(source).is_dir():
        return _open_folder(Path(source))
    if not HUB_ID.fullmatch(source):
        raise PercasymError(
            f"there is no folder {source}, and it is no id of the Hub, as xqwu/asymmetric-VLM__gc is"
        )
    try:
        builder = datasets.load_dataset_builder(source)
        kind = builder.info.builder_name
        if kind not in HUB_FORMATS:
            raise PercasymError(f"{source} is of format {kind}: only {' and '.join(HUB_FORMATS)} are read")
        if kind == "parquet":
            builder.config.batch_size = BATCH_ROWS  # not a whole row group at once
        streams = builder.as_streaming_dataset()
    except PercasymError:
        raise
    except Exception as error:  # those of the network, the Hub and `datasets` have no common class
        raise PercasymError(f"cannot read {source} from the Hub: {one_line(error)}") from error
    return {str(split): _from_hub(source, stream) for split, stream in streams.items()}


def _from_hub(source: str, stream: Any) -> Iterator[Found]:
    try:
        if stream.features:
            check_columns(source, stream.features)
            stream = stream.decode(False)  # without features it is JSON, and has no images in it
        for values in stream:
            yield with_image(values, [])
    except PercasymError:
        raise
    except Exception as error:
        raise PercasymError(f"cannot read {source} from the Hub: {one_line(error)}") from error


def _open_folder(folder: Path) -> dict[str, Iterator[Found]]:
    if is_saved(folder):
        files = saved_files(folder)
        _check_links(folder, files)
        return {split: _from_files(folder, paths, rows_of_arrow) for split, paths in files.items()}
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    parquet = [name for name in names if name.suffix == ".parquet"]
    texts = [name for name in names if name.name.endswith(SUFFIXES) and name.name != "dataset_info.json"]
    splits: dict[str, list[Path]] = {}
    for name in parquet or texts:
        splits.setdefault(_split_of(name), []).append(folder / name)
    if not splits:
        raise PercasymError(f"{folder} has no parquet, JSON or JSONL files")
    _check_links(folder, splits)
    rows = _rows_of_parquet if parquet else rows_of_text
    return {split: _from_files(folder, paths, rows) for split, paths in splits.items()}


def _check_links(folder: Path, splits: Mapping[str, Sequence[Path]]) -> None:
    for paths in splits.values():
        for path in paths:
            if leads_out(path, folder):
                raise PercasymError(f"{path} is a link out of the folder: copy there what it should hold")


def _split_of(name: Path) -> str:
    stem = SHARD.sub("", name.with_suffix("").stem if name.suffix == ".gz" else name.stem)
    return name.parent.name if stem.isdecimal() and name.parent.name else stem


def _from_files(
    folder: Path, paths: Sequence[Path], rows: Callable[[Path], Iterator[Found]]
) -> Iterator[Found]:
    for path in paths:
        try:
            for values in rows(path):
                yield values if isinstance(values, Unreadable) else with_image(values, [path.parent, folder])
        except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
            raise PercasymError(f"cannot read {path}: {one_line(error)}") from error


def _rows_of_parquet(path: Path) -> Iterator[Found]:
    with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True) as file:
        check_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield from rows_of_batch(batch)
