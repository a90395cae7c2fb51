"""What a source gives for a row: its columns with the image as bytes, or why it cannot be read."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa

from percasym.errors import PercasymError
from percasym.folders import leads_out

COLUMNS = ("query", "image", "ground_truth", "response")
NEEDED = COLUMNS[:3]
LARGEST_IMAGE = 32 << 20  # bytes, encoded
DATA_URI = "data:image/"


class Unreadable(NamedTuple):
    """In place of a row."""

    reason: str


Found: TypeAlias = dict[str, Any] | Unreadable
"""The columns of a row, with its `image`, if it has one, as bytes; or why there is none."""


def missing(columns: Iterable[str]) -> str | None:
    """What is wrong with a row or a table of these columns; None if those that are needed are among them."""
    names = {"image" if name == "images" else str(name) for name in columns}
    if names >= set(NEEDED):
        return None
    hint = "; it may be LLaMA-Factory's layout, which has no ground truth" * ("messages" in names)
    there = ", ".join(sorted(map(str, columns)))[:200]
    return f"it has the columns {there}, but {', '.join(NEEDED)} are needed{hint}"


def check_columns(place: object, columns: Iterable[str]) -> None:
    """Refuses a table as a whole, all of whose rows have the same columns.

    Raises:
        PercasymError: a column is missing.
    """
    if wrong := missing(columns):
        raise PercasymError(f"{place} cannot be taken: {wrong}")


def rows_of_batch(batch: pa.RecordBatch) -> Iterator[Found]:
    """The rows of a table, of which one whose texts are no UTF-8 is unreadable alone."""
    try:
        batch.validate(full=True)  # a wrong offset would read whatever is in memory
        yield from batch.to_pylist()
    except (pa.ArrowInvalid, ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            yield Unreadable(f"it cannot be decoded ({one_line(error)})")
            return
        for number in range(batch.num_rows):
            yield from rows_of_batch(batch.slice(number, 1))


def with_image(values: Mapping[str, Any], folders: Sequence[Path]) -> Found:
    """A row with its image as bytes: they are in the row, in a file of one of `folders`, or in a data: URI.

    The last of `folders` holds the others; no link leads out of it.

    A row may have `images` in place of `image`, a list of one.
    """
    if wrong := missing(values):
        return Unreadable(wrong)
    row = dict(values)
    if "image" not in row:
        images = row.pop("images")
        if not isinstance(images, list) or len(images) != 1:
            return Unreadable("its images are no list of one")
        row["image"] = images[0]
    match row["image"]:
        case bytes(data) | {"bytes": bytes(data)}:
            return {**row, "image": data}
        case str(name) | {"path": str(name)} if name[: len(DATA_URI)].lower() == DATA_URI:
            image = _from_uri(name)
        case str(name) | {"path": str(name)}:
            image = _from_file(name, folders)
        case _:
            return Unreadable("it has no image")
    return image if isinstance(image, Unreadable) else {**row, "image": image}


def _from_uri(uri: str) -> bytes | Unreadable:
    header, _, text = uri.partition(",")
    if not header.lower().endswith(";base64"):
        return Unreadable(f"its image {uri[:40]!r} is a data: URI without base64")
    if len(text) > LARGEST_IMAGE * 4 // 3 + 4:
        return Unreadable(f"its image has more than {LARGEST_IMAGE:,} bytes")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return Unreadable(f"its image {uri[:40]!r} is no base64")


def _from_file(name: str, folders: Sequence[Path]) -> bytes | Unreadable:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return Unreadable(f"its image {name[:80]!r} is no path within the folder")
    try:
        for path in (folder / name for folder in folders):
            if path.is_file():
                if leads_out(path, folders[-1]):
                    return Unreadable(f"its image {name[:80]!r} is a link out of the folder")
                if path.stat().st_size > LARGEST_IMAGE:
                    return Unreadable(f"its image has more than {LARGEST_IMAGE:,} bytes")
                return path.read_bytes()
    except OSError as error:  # a name that is too long, among others
        return Unreadable(f"its image {name[:80]!r} cannot be read: {error.strerror}")
    return Unreadable(f"its image {name[:80]!r} is not there")


def one_line(error: Exception) -> str:
    """What an error says, on one line and not at length."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
