"""What a collection finds: files and folders that can go, and how large they are."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can go."""

    path: Path
    why: str
    bytes: int
    changed: float
    """When anything in it was last written, as seconds since 1970."""
    run: str = ""
    """The MLflow run whose artifact it is."""
    stage: str = ""
    """The stage, STAGE/KEY, whose lock guards it."""
    record: Path | None = None
    """The result record that goes with it."""


@dataclass
class Found:
    """What there is to collect, and what is said about it."""

    garbage: list[Garbage] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    """MLflow runs of stages that nothing refers to."""
    kept: list[str] = field(default_factory=list)
    """Lines about what is left alone though it may look like garbage."""

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.garbage)


def weigh(path: Path) -> tuple[int, float]:
    """(bytes, time of the last change) of a file, or a folder with all that is in it."""
    size, changed = 0, 0.0
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        try:
            found = one.lstat()
        except FileNotFoundError:  # somebody is at work there
            continue
        size += 0 if one.is_dir() else found.st_size
        changed = max(changed, found.st_mtime)
    return size, changed


def remove(garbage: Garbage) -> None:
    """Removes it, with its record."""
    if garbage.record:  # first, so that nobody is sent to an artifact that is going
        garbage.record.unlink(missing_ok=True)
    if garbage.path.is_dir():
        shutil.rmtree(garbage.path)
    else:
        garbage.path.unlink(missing_ok=True)
