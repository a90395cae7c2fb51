"""Rows as others wrote them: from the Hub or a folder, one after the other, nothing decoded or executed."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from percasym.errors import PercasymError

LARGEST_IMAGE = 32 << 20  # bytes, encoded
LONGEST_LINE = 16 << 20  # bytes
LARGEST_ARRAY = 128 << 20  # bytes; JSON that is one array has to be read as a whole
BATCH_ROWS = 64
BUFFER = 1 << 20  # bytes; without one a whole group of rows is read at once, however large
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
HUB_FORMATS = ("parquet", "json")
SHARD = re.compile(r"-\d{5}-of-\d{5}.*")


class Unreadable(NamedTuple):
    """In place of a row."""

    reason: str


Found: TypeAlias = dict[str, Any] | Unreadable
"""The columns of a row, with its `image`, if it has one, as bytes; or why there is none."""


def open_source(source: str) -> dict[str, Iterator[Found]]:
    """The rows of each split of `source`, an id of the Hub or a folder.

    In a folder the splits are named by its files: train_sft.jsonl, test-00000-of-00002.parquet,
    test/0.parquet. A folder with parquet files is read from these alone, any other from its JSON and JSONL
    files. An image may be the path of a file in the folder.

    Raises:
        PercasymError: there is no such source, or it has no such files; on iteration, a file that is corrupt
            or cannot be read.
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
        raise PercasymError(f"cannot read {source} from the Hub: {_one_line(error)}") from error
    return {str(split): _from_hub(source, stream) for split, stream in streams.items()}


def _from_hub(source: str, stream: Any) -> Iterator[Found]:
    try:
        for values in stream.decode(False) if stream.features else stream:  # without: JSON, no images in it
            yield _with_image(values, [])
    except Exception as error:
        raise PercasymError(f"cannot read {source} from the Hub: {_one_line(error)}") from error


def _open_folder(folder: Path) -> dict[str, Iterator[Found]]:
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    parquet = [name for name in names if name.suffix == ".parquet"]
    texts = [name for name in names if name.suffix in (".json", ".jsonl") and name.stem != "dataset_info"]
    splits: dict[str, list[Path]] = {}
    for name in parquet or texts:
        splits.setdefault(_split_of(name), []).append(folder / name)
    if not splits:
        raise PercasymError(f"{folder} has no parquet, JSON or JSONL files")
    return {split: _from_files(folder, paths) for split, paths in splits.items()}


def _split_of(name: Path) -> str:
    stem = SHARD.sub("", name.stem)
    return name.parent.name if stem.isdecimal() and name.parent.name else stem


def _from_files(folder: Path, paths: Sequence[Path]) -> Iterator[Found]:
    for path in paths:
        try:
            for values in _from_parquet(path) if path.suffix == ".parquet" else _from_json(path):
                yield values if isinstance(values, Unreadable) else _with_image(values, [path.parent, folder])
        except (OSError, pa.ArrowException) as error:
            raise PercasymError(f"cannot read {path}: {_one_line(error)}") from error


def _from_parquet(path: Path) -> Iterator[Found]:
    with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield from batch.to_pylist()


def _from_json(path: Path) -> Iterator[Found]:
    with path.open("rb") as file:
        first = file.read(1)
        while first.isspace():
            first = file.read(1)
        if first == b"[":
            yield from _array(path)
            return
        file.seek(0)
        while line := _line(file):
            if isinstance(line, Unreadable):
                yield line
            elif line.strip():
                yield _object(line)


def _line(file: IO[bytes]) -> bytes | Unreadable:
    line = file.readline(LONGEST_LINE + 1)
    if len(line) <= LONGEST_LINE:
        return line
    while line and not line.endswith(b"\n"):
        line = file.readline(LONGEST_LINE)
    return Unreadable(f"its line is longer than {LONGEST_LINE:,} bytes")


def _object(line: bytes) -> Found:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Unreadable(f"its line is no JSON ({_one_line(error)})")
    return value if isinstance(value, dict) else Unreadable("its line is no JSON object")


def _array(path: Path) -> Iterator[Found]:
    if path.stat().st_size > LARGEST_ARRAY:
        raise PercasymError(
            f"{path} is one JSON array of more than {LARGEST_ARRAY:,} bytes: write JSONL, an object a line"
        )
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PercasymError(f"{path} is no JSON: {_one_line(error)}") from None
    for value in values:
        yield value if isinstance(value, dict) else Unreadable("it is no JSON object")


def _with_image(values: dict[str, Any], folders: Sequence[Path]) -> Found:
    if "image" not in values:
        return values
    match values["image"]:
        case bytes(data) | {"bytes": bytes(data)}:
            return {**values, "image": data}
        case str(name) | {"path": str(name)}:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                return Unreadable(f"its image {name[:80]!r} is no path within the folder")
            for path in (folder / name for folder in folders):
                if path.is_file():
                    return _read_image(values, path)
            return Unreadable(f"its image {name[:80]!r} is not there")
    return Unreadable("it has no image")


def _read_image(values: dict[str, Any], path: Path) -> Found:
    if path.stat().st_size > LARGEST_IMAGE:
        return Unreadable(f"its image has more than {LARGEST_IMAGE:,} bytes")
    return {**values, "image": path.read_bytes()}


def _one_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
