"""A data set in place of drawn puzzles: a folder of ours, or a source in the released layout."""

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from percasym.errors import PercasymError
from percasym.sections import DataSection
from tasks.show import show_samples
from tasks.stage import Work, stage


@stage()
def ingest(work: Work, config: DataSection, source: str) -> None:
    """`source` is an input of the stage, so that the content of a folder counts and not its name."""
    from percasym.datasets import write_dataset

    folder = _imported(work, source)
    parts = division(folder, config)
    write_dataset(work.folder, {split: _rows(work, folder, *part) for split, part in parts.items()})
    show_samples(work.folder, "test", Path(source).name)


def division(folder: Path, config: DataSection) -> dict[str, tuple[str, int, int]]:
    """For each split of a study where its rows are: the split of `folder`, the first of them, and the row to
    stop before.

    Of a split that is there the first rows are taken, as many as the settings ask for at most. Validation and
    reinforcement learning, if they have none of their own, are given the last rows of train_sft.

    Raises:
        PercasymError: there is no train_sft or test, or the former has too few rows to be divided.
    """
    from percasym.datasets import count_rows, split_names

    there = split_names(folder)
    if missing := {"train_sft", "test"} - set(there):
        raise PercasymError(
            f"data: no split {' and '.join(sorted(missing))} in it, but {', '.join(there) or 'none'}; a "
            "study wants test and train_sft, of which validation and train_rl are taken if they are missing"
        )
    wanted = {"validation": config.validation_items, "train_rl": config.rl_items, "test": config.test_items}
    end = rows = count_rows(folder, "train_sft")
    parts = {}
    for split, number in wanted.items():
        if split in there:
            parts[split] = (split, 0, min(number, count_rows(folder, split)))
        else:
            parts[split] = ("train_sft", end - number, end)
            end -= number
    if end < 1:
        raise PercasymError(
            f"data: train_sft has {rows} rows, too few to give {rows - end} to validation and reinforcement "
            "learning: lower validation_items and rl_items, or add splits validation and train_rl"
        )
    return {**parts, "train_sft": ("train_sft", 0, min(config.train_items, end))}


def _rows(work: Work, folder: Path, split: str, first: int, end: int) -> Iterator[dict[str, object]]:
    from percasym.datasets import iter_split

    for number, row in enumerate(iter_split(folder, split, first=first, end=end), start=1):
        work.progress(number, end - first)
        yield row


def _imported(work: Work, source: str) -> Path:
    """The folder of a data set of ours: `source` itself, or what is imported from it."""
    from percasym.datasets import iter_split, split_names
    from percasym.importing import import_dataset

    folder = Path(source)
    if folder.is_dir():
        try:
            for split in split_names(folder):
                list(islice(iter_split(folder, split, ["id", "puzzle"]), 1))
            if split_names(folder):
                return folder
        except PercasymError:  # other columns than ours
            pass
    imported = work.scratch / "imported"
    shutil.rmtree(imported, ignore_errors=True)
    import_dataset(source, imported)
    return imported
