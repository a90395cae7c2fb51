"""A data set as verl reads it: a parquet file with the columns of its documentation."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from percasym.datasets import iter_split
from percasym.errors import PercasymError
from percasym.folders import new_file
from percasym.images import plain_image
from percasym.placeholders import OF_MODELS, OF_PROGRAMS, placeholder

IMAGE = "<image>"  # where verl puts the image into the prompt
GROUP_ROWS = 256


def write_rows(
    dataset: str, split: str, path: Path, captions: Mapping[str, str] | None = None, opening: str = ""
) -> int:
    """Writes the rows of a split to `path`; returns how many.

    Args:
        captions: those of a teacher, by item, for the surrogate that looks at them.
        opening: of a thought, with which the model's chat template ends the prompt, if it does.

    Raises:
        PercasymError: as `iter_split`, or a row that verl cannot take: without an image, with a prefix of the
            assistant's, or with "<image>" or the like in its query.
    """
    count, writer = 0, None
    with new_file(path) as aside:
        for chunk in _chunks(dataset, split, captions, opening):
            table = pa.Table.from_pylist(chunk)
            writer = writer or pq.ParquetWriter(aside, table.schema)
            writer.write_table(table)
            count += len(chunk)
        if writer is None:
            raise PercasymError(f"the split {split} of {dataset} has no rows")
        writer.close()
    return count


def _chunks(
    dataset: str, split: str, captions: Mapping[str, str] | None, opening: str
) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for index, row in enumerate(iter_split(dataset, split)):
        place = placeholder((*OF_PROGRAMS, *OF_MODELS), row["query"])
        if row["image"] is None or row["prefix"] or place:
            raise PercasymError(
                f"{row['id']} is not for verl: it takes an image, no prefix, and in the query none "
                f"of {place or ', '.join(OF_PROGRAMS)}"
            )
        chunk.append(
            {
                "data_source": "percasym",
                "prompt": [{"role": "user", "content": IMAGE + row["query"]}],
                "images": [{"bytes": plain_image(row["image"]), "path": None}],
                "ability": "perception and reasoning",
                "reward_model": {"style": "rule", "ground_truth": row["ground_truth"]},
                "extra_info": {
                    "index": index,
                    "id": row["id"],
                    "puzzle": row["puzzle"],
                    "teacher": None if captions is None else captions.get(row["id"], ""),
                    "opening": opening,
                },
            }
        )
        if len(chunk) == GROUP_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
