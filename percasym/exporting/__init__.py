"""Data sets as other programs read them, one file a consumer.

hub            a folder to upload: our columns, and a view of it with the released ones alone
llamafactory   JSON and image files with a dataset_info.json, for LLaMA-Factory
trl            parquet for the SFTTrainer and GRPOTrainer of TRL
verl           parquet for verl
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from percasym.datasets import split_names
from percasym.errors import PercasymError
from percasym.exporting import hub, llamafactory, trl, verl
from percasym.exporting.base import Exported
from percasym.folders import new_folder

Write: TypeAlias = Callable[[Path, Sequence[str], Path], list[Exported]]
"""Writes splits of a data set into an empty folder."""

CONSUMERS: dict[str, Write] = {
    "hub": hub.write,
    "llamafactory": llamafactory.write,
    "trl": trl.write,
    "verl": verl.write,
}


def export_dataset(data: str | Path, to: str, out: str | Path, splits: Sequence[str] = ()) -> list[Exported]:
    """Write `splits` of the data set `data`, or all, for the consumer `to` into the new folder `out`.

    Raises:
        PercasymError: an unknown consumer, no such data set or split, nothing that the consumer can take, a
            row that verl refuses, or an `out` that is there or cannot be written.
    """
    if to not in CONSUMERS:
        raise PercasymError(f"there is no export to {to!r}; choose from {', '.join(CONSUMERS)}")
    names = split_names(data)
    if not names:
        raise PercasymError(f"{data} is no data set: make one with `percasym generate` or `percasym import`")
    for split in splits:
        if split not in names:
            raise PercasymError(f"the data set {data} has no split {split!r}: it has {', '.join(names)}")
    with new_folder(out) as folder:
        exported = CONSUMERS[to](Path(data), list(dict.fromkeys(splits)) or names, folder)
        if not any(found.rows for found in exported):
            reasons = ", ".join({reason for found in exported for reason in found.left_out})
            raise PercasymError(f"{to} can take no row of {data}: {reasons}")
    return exported
