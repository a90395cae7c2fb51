"""Files and folders: there whole or not at all, twice, or within a folder from elsewhere."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from percasym.errors import PercasymError

WRITING = ".writing-"
OWN = {"lost+found"}  # what a file system has at its root by itself
# What file systems say that have no hard links, none to this file, or none between these two places.
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES}


@contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """An empty folder to write to, beside `target`; at the end it becomes `target`.

    After a failure there is neither. What a killed process left is removed by the next one. Nothing can
    become the root of a file system, so where `target` is one the folder is within it, and at the end its
    content is moved up.

    Raises:
        PercasymError: `target` is there and not an empty folder, or it cannot be written.
    """
    target = Path(target).absolute()
    within = target.is_mount()
    start = WRITING if within else f".{target.name}{WRITING}"
    aside = (target if within else target.parent) / f"{start}{os.getpid()}"
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(aside.parent, start)
        if target.exists() and (
            not target.is_dir() or {path.name for path in target.iterdir()} - (OWN if within else set())
        ):
            raise PercasymError(f"{target} is there already: name a new folder")
        aside.mkdir()
        yield aside
        if within:
            for path in aside.iterdir():
                path.replace(target / path.name)
        else:
            aside.replace(target)
    except OSError as error:
        raise PercasymError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """Makes `target` the file or folder that `source` is, which stays.

    Both are the same on disk, so neither may be written to afterwards. Where a file system has no links it
    is a copy.
    """
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(source, target)


def claim(folder: Path, what: str, settings: Mapping[str, Any]) -> None:
    """Makes `folder` that of one run, or finds that it is already.

    Args:
        what: the kind of run, which names the file that says so.
        settings: all that the result depends on, as JSON.

    Raises:
        PercasymError: it is another's, or cannot be written.
    """
    note = folder / f"{what}.json"
    if not note.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PercasymError(f"cannot write {folder}: {error.strerror}") from error
        write_text(note, json.dumps(settings, indent=2))
        return
    try:
        found = json.loads(note.read_bytes())
        differ = sorted(name for name in {**found, **settings} if found.get(name) != settings.get(name))
    except (ValueError, TypeError, AttributeError):
        raise PercasymError(f"{note} is damaged: delete {folder}, or choose another folder") from None
    if differ:
        raise PercasymError(
            f"{folder} holds another {what}, with another {', '.join(differ)}: delete it or choose another "
            "folder"
        )


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path to write to, beside `target`: at the end that file takes the place of `target`, in one go.

    After a failure `target` is as it was.

    Raises:
        PercasymError: it cannot be written.
    """
    aside = target.with_name(f".{target.name}{WRITING}{os.getpid()}")
    try:
        yield aside
        flush(aside)
        aside.replace(target)
    except OSError as error:
        raise PercasymError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Replaces a small file in one go; see `new_file`."""
    with new_file(target) as aside:
        aside.write_text(text)


def flush(path: Path) -> None:
    """Has a file, or the names in a folder, on the disk when it returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leads_out(path: Path, *folders: Path) -> bool:
    """Whether a path is, or passes through, a symbolic link to what is in none of `folders`."""
    return not any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target)


def _remove_leftovers(folder: Path, start: str) -> None:
    for path in folder.iterdir():
        process = path.name.removeprefix(start)
        if process != path.name and process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(path)
