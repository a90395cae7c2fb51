"""Whether a model can take the rows of a data set: found out before the work that a bad one would end."""

import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from datasets import Dataset
from PIL import Image
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from percasym.errors import PercasymError
from percasym.images import FORMATS, MAX_PIXELS

TEXTS = ("query", "prefix", "response")
SHOWN = 3  # items that an error names


def check_rows(writer: ProcessorMixin | PreTrainedTokenizerBase, rows: Dataset) -> None:
    """Asks of every row whether the model can take it.

    Args:
        writer: the processor of a vision-language model, or the tokenizer of a text model.
        rows: with the column id, and what they have of query, prefix, response and image.

    Raises:
        PercasymError: one line that names the items which `writer` cannot take: a text holds what stands for
            an image, or the image is none, or of a shape that the model does not take. Only the heads of
            images are read.
    """
    columns = [name for name in ("id", *TEXTS, "image") if name in rows.column_names]
    marks = placeholders(writer)
    sizes: dict[tuple[int, int], str] = {}
    found: list[str] = []
    for row in rows.select_columns(columns).with_format(None):
        if reasons := " and ".join(_reasons(writer, row, marks, sizes)):
            found.append(f"{row['id']} {reasons}")
    if found:
        some = "; ".join(found[:SHOWN]) + "; ..." * (len(found) > SHOWN)
        raise PercasymError(f"the model cannot take {len(found)} of the {len(rows)} items: {some}; mend them")


def placeholders(writer: ProcessorMixin | PreTrainedTokenizerBase) -> list[str]:
    """What stands for an image or a video in a prompt, wherever it comes from."""
    marks = (getattr(writer, f"{kind}_token", None) for kind in ("image", "video"))
    return [mark for mark in marks if isinstance(mark, str)]


def _reasons(
    writer: ProcessorMixin | PreTrainedTokenizerBase,
    row: Mapping[str, Any],
    marks: list[str],
    sizes: dict[tuple[int, int], str],
) -> Iterator[str]:
    """What is wrong with a row; `sizes` keeps what is wrong with images of a size."""
    for column in TEXTS:
        for mark in marks:
            if mark in (row.get(column) or ""):
                yield f"has {mark} in its {column}, which stands for an image"
    if row.get("image") is None:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            size = Image.open(BytesIO(row["image"]["bytes"]), formats=FORMATS).size
    except Exception:  # decoders raise anything on broken input
        yield f"has an image that is no readable {', '.join(FORMATS)}"
        return
    if size not in sizes:
        sizes[size] = _wrong_with(writer, *size)
    if sizes[size]:
        yield f"has an image of {size[0]} x {size[1]}: {sizes[size]}"


def _wrong_with(writer: ProcessorMixin | PreTrainedTokenizerBase, width: int, height: int) -> str:
    """What the image processor says of a size, if it can tell without an image; "" for nothing."""
    if width * height > MAX_PIXELS:
        return f"it is larger than {MAX_PIXELS:,} pixels"
    tell = getattr(getattr(writer, "image_processor", None), "get_number_of_image_patches", None)
    try:
        if tell:
            tell(height, width, {})
    except ValueError as error:
        return str(error).splitlines()[0]
    return ""
