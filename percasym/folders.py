"""Folders: a new one is made whole or not at all, and one from elsewhere holds what is in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from percasym.errors import PercasymError


@contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """An empty folder to write to, beside `target`; at the end it becomes `target`.

    After a failure there is neither. What a killed process left is removed by the next one.

    Raises:
        PercasymError: `target` is there and not an empty folder, or it cannot be written.
    """
    target = Path(target).absolute()
    aside = target.with_name(f".{target.name}.writing-{os.getpid()}")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise PercasymError(f"{target} is there already: name a new folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        aside.mkdir()
        yield aside
        aside.replace(target)
    except OSError as error:
        raise PercasymError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def leads_out(path: Path, *folders: Path) -> bool:
    """Whether a path is, or passes through, a symbolic link to what is in none of `folders`."""
    return not any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _remove_leftovers(target: Path) -> None:
    start = f".{target.name}.writing-"
    for path in target.parent.iterdir():
        process = path.name.removeprefix(start)
        if process != path.name and process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(path)
