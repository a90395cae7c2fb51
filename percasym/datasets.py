"""Data sets: folders of parquet shards with a card, which `datasets.load_dataset(FOLDER)` reads as they are.

    FOLDER/README.md                            the card; its YAML header names the files of each split
    FOLDER/data/test-00000-of-00002.parquet     the shards of a split, complete or not there
    FOLDER/data/test-00001-of-00002.parquet

A row is a dict of the columns below. It is written once: rows stream into shards aside, and only whole
splits are moved to their place. The same rows give the same bytes, hence the same digest. Shards that are
written apart, by several processes or machines, are gathered into a data set.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from percasym.dataset_card import write_card
from percasym.errors import PercasymError
from percasym.folders import link, new_file
from percasym.images import encode_image, open_image
from percasym.puzzles import Puzzle, spec
from percasym.puzzles.base import Split
from percasym.seals import file_digest
from percasym.seeding import digest, stream

Row: TypeAlias = dict[str, Any]

FEATURES = datasets.Features({
    "id": datasets.Value("string"),
    "query": datasets.Value("string"),
    "image": datasets.Image(),
    "ground_truth": datasets.Value("string"),
    "perception": datasets.Value("string"),
    "puzzle": datasets.Value("string"),
    "prefix": datasets.Value("string"),
    "response": datasets.Value("string"),
})  # fmt: skip
GROUP_ROWS = 512
GROUP_BYTES = 32 << 20
SHARD_BYTES = 256 << 20


def generate_rows(
    puzzle: Puzzle[Any], split: Split, seed: int, n: int, style: str | None = None, first: int = 0
) -> Iterator[Row]:
    """`n` rows of `split` from row `first` on, without responses; images are drawn in `style` or else the
    puzzle's own.

    How row i is drawn depends on the puzzle with its config, the style and the row's id alone.
    """
    text = spec(puzzle)
    for index in range(first, first + n):
        item = puzzle.item(split, seed, index)
        image = puzzle.render(item.instance, stream("render", text, style, item.id), style)
        yield {
            "id": item.id,
            "query": puzzle.query(item.instance),
            "image": encode_image(image),
            "ground_truth": puzzle.ground_truth(item.instance),
            "perception": puzzle.perception(item.instance),
            "puzzle": text,
            "prefix": "",
            "response": "",
        }


def write_dataset(folder: str | Path, splits: Mapping[str, Iterable[Row]]) -> None:
    """Write `splits` into `folder`, beside the splits that it has, and bring its card up to date.

    In a row `image` is an encoded image (bytes) or None. Memory is bounded: rows are written as they come. A
    failure leaves what was there as it was. A split that is there already must have the same rows.

    Raises:
        PercasymError: a full disk or a folder that cannot be written; a split that is there with other rows,
            or has no rows.
    """
    folder = Path(folder)
    with _changing(folder) as aside:
        parts = {split: _write_parts(aside, split, rows) for split, rows in splits.items()}
        _place(folder, parts)


def write_shard(path: Path, rows: Iterable[Row]) -> None:
    """Write `rows` into the one file `path`, whole or not at all, for `gather_shards`.

    Raises:
        PercasymError: a full disk or a folder that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as aside, _writer(aside) as writer:
            for group in _groups(rows):
                writer.write_table(_table(group))
    except (OSError, pa.ArrowException) as error:
        raise PercasymError(f"cannot write {path}: {_reason(error)}") from error


def gather_shards(folder: str | Path, splits: Mapping[str, Sequence[Path]]) -> None:
    """Make a data set of shards, as `write_dataset` makes one of rows: the shards of each split in order.

    They stay where they are, see `folders.link`.

    Raises:
        PercasymError: as `write_dataset`.
    """
    folder = Path(folder)
    with _changing(folder) as aside:
        parts: dict[str, list[Path]] = {}
        for split, shards in splits.items():
            _check_name(split)
            if not any(pq.read_metadata(shard).num_rows for shard in shards):
                raise PercasymError(_no_rows(split))
            parts[split] = [aside / f"{split}.{number}" for number in range(len(shards))]
            for shard, part in zip(shards, parts[split], strict=True):
                link(shard, part)
        _place(folder, parts)


def split_names(folder: str | Path) -> list[str]:
    """The names of the complete splits in `folder`, sorted."""
    found = {_shard_name(path) for path in (Path(folder) / "data").glob("*.parquet")}
    names = sorted({shard[0] for shard in found if shard})
    return [name for name in names if _shards(Path(folder), name)]


def read_split(folder: str | Path, split: str, columns: Sequence[str] | None = None) -> datasets.Dataset:
    """A split in memory, all of it or some `columns`; a row's `image` is an RGB image or None, decoded on
    access.

    Raises:
        PercasymError: no data set, no such split, a missing column, or a corrupt shard; on access, a bad
            image.
    """
    names = list(columns or FEATURES)
    tables = []
    for path in _existing_shards(Path(folder), split):
        with _open_shard(path) as file:
            tables.append(file.read(columns=names).select(names))
    features = datasets.Features({name: FEATURES[name] for name in names})
    if "image" in features:
        features["image"] = datasets.Image(decode=False)
    table = pa.concat_tables(tables).cast(features.arrow_schema)
    rows = datasets.Dataset(datasets.table.InMemoryTable(table))
    return rows.with_transform(_decode) if "image" in features else rows


def iter_split(
    folder: str | Path,
    split: str,
    columns: Sequence[str] | None = None,
    first: int = 0,
    end: int | None = None,
) -> Iterator[Row]:
    """The rows of a split one after the other, as `write_dataset` took them, in bounded memory.

    Args:
        first: number of the row to begin with; groups of rows before it are not read.
        end: number of the row to stop before; None: all are taken.

    Raises:
        PercasymError: as `read_split`, at the latest when the shard in question is reached.
    """
    names = list(columns or FEATURES)
    number = 0  # of the next row that is read
    for path in _existing_shards(Path(folder), split):
        with _open_shard(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if number + rows <= first or (end is not None and number >= end):
                    number += rows
                    continue
                for batch in file.iter_batches(batch_size=256, row_groups=[group], columns=names):
                    for row in batch.to_pylist():
                        if row.get("image") is not None:
                            row["image"] = row["image"]["bytes"]
                        if number >= first and (end is None or number < end):
                            yield row
                        number += 1


def count_rows(folder: str | Path, split: str) -> int:
    """The number of rows of a split; errors are as for `read_split`."""
    total = 0
    for path in _existing_shards(Path(folder), split):
        with _open_shard(path) as file:
            total += file.metadata.num_rows
    return total


def content_digest(folder: str | Path) -> str:
    """64 hex digits that stand for the names and bytes of all shards in `folder`, and for nothing else.

    Raises:
        PercasymError: no data set, or a shard that cannot be read.
    """
    folder = Path(folder)
    splits = split_names(folder)
    if not splits:
        raise PercasymError(_no_dataset(folder))
    try:
        return digest([[path.name, file_digest(path)] for split in splits for path in _shards(folder, split)])
    except OSError as error:
        raise PercasymError(f"cannot read the data set {folder}: {_reason(error)}") from error


def _decode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    if "image" not in batch:
        return batch
    images = [None if image is None else open_image(image["bytes"]) for image in batch["image"]]
    return {**batch, "image": images}


@contextmanager
def _changing(folder: Path) -> Iterator[Path]:
    """A folder aside, for what becomes part of the data set; a failure inside leaves nothing behind."""
    aside = folder / f".writing-{os.getpid()}"
    try:
        _remove_leftovers(folder)
        aside.mkdir(parents=True)
        yield aside
    except (OSError, pa.ArrowException) as error:
        raise PercasymError(f"cannot write the data set {folder}: {_reason(error)}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _place(folder: Path, splits: Mapping[str, Sequence[Path]]) -> None:
    """Move the shards of new splits to where they belong, under their names, and write the card."""
    data = folder / "data"
    named = {split: _named(split, shards) for split, shards in splits.items()}
    for split, shards in named.items():
        old = [(path.name, file_digest(path)) for path in _shards(folder, split)]
        if old and old != [(name, file_digest(shard)) for name, shard in shards.items()]:
            raise PercasymError(
                f"{folder} already has a split {split!r} with other rows: write to a new folder"
            )
    data.mkdir(exist_ok=True)
    for split, shards in named.items():
        for stale in data.glob(f"{split}-?????-of-?????.parquet"):
            stale.unlink()
        for name, shard in shards.items():
            shard.replace(data / name)
    write_card(folder, {split: _shards(folder, split) for split in split_names(folder)})


def _named(split: str, shards: Sequence[Path]) -> dict[str, Path]:
    _check_name(split)
    return {f"{split}-{number:05}-of-{len(shards):05}.parquet": path for number, path in enumerate(shards)}


def _check_name(split: str) -> None:
    if not re.fullmatch(r"\w+", split):
        raise PercasymError(f"a split cannot be called {split!r}: use letters, digits and _")


def _no_rows(split: str) -> str:
    return f"the split {split!r} has no rows: ask for at least one"


def _write_parts(aside: Path, split: str, rows: Iterable[Row]) -> list[Path]:
    """The shards of one split, which get their names when their number is known."""
    _check_name(split)
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    written = 0
    try:
        for group in _groups(rows):
            if writer is None:
                parts.append(aside / f"{split}.{len(parts)}")
                writer, written = _writer(parts[-1]), 0
            table = _table(group)
            writer.write_table(table)
            written += table.nbytes
            if written >= SHARD_BYTES:
                writer.close()
                writer = None
    finally:
        if writer is not None:
            writer.close()
    if not parts:
        raise PercasymError(_no_rows(split))
    return parts


def _table(group: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(group, schema=FEATURES.arrow_schema)


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, FEATURES.arrow_schema, compression="zstd", write_page_checksum=True)


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        data = row["image"]
        group.append({**row, "image": None if data is None else {"bytes": data, "path": None}})
        size += len(data or b"") + len(row["response"])
        if len(group) == GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing."""
    for path in folder.glob(".writing-*"):
        if not psutil.pid_exists(int(path.name.rpartition("-")[2])):
            shutil.rmtree(path)


def _shard_name(path: Path) -> tuple[str, int, int] | None:
    match = re.fullmatch(r"(\w+)-(\d{5})-of-(\d{5})\.parquet", path.name)
    return (match[1], int(match[2]), int(match[3])) if match else None


def _shards(folder: Path, split: str) -> list[Path]:
    """The shards of a split in order; none if one is missing."""
    paths = sorted((folder / "data").glob(f"{split}-?????-of-?????.parquet"))
    names = [_shard_name(path) for path in paths]
    return paths if names == [(split, number, len(paths)) for number in range(len(paths))] else []


def _existing_shards(folder: Path, split: str) -> list[Path]:
    names = split_names(folder)
    if not names:
        raise PercasymError(_no_dataset(folder))
    if split not in names:
        raise PercasymError(f"the data set {folder} has no split {split!r}: it has {', '.join(names)}")
    return _shards(folder, split)


def _no_dataset(folder: Path) -> str:
    return f"{folder} is no data set: make one with `percasym generate --out {folder}`"


@contextmanager
def _open_shard(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(path, file.schema_arrow)
            yield file
    except (OSError, pa.ArrowException) as error:
        raise PercasymError(f"cannot read {path}: {_reason(error)}; generate the data set again") from error


def _check_columns(path: Path, schema: pa.Schema) -> None:
    for expected in FEATURES.arrow_schema:
        if expected.name not in schema.names:
            raise PercasymError(f"{path} has no column {expected.name!r}: it is no data set of percasym")
        found = schema.field(expected.name).type
        if found != expected.type and not (pa.types.is_large_string(found) and expected.type == pa.string()):
            raise PercasymError(f"{path}: its column {expected.name!r} is {found}, not {expected.type}")


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]
