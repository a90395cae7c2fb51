"""The seal of a folder: a file in it with the digest of every other one, by which damage is found.

Disks and networks flip bits, and a flipped bit in a weight or in a column of results is read as another
number. So whatever is kept for long is sealed when it is made, and checked before it is used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from percasym.errors import PercasymError

SEAL = "seal.json"


class Damaged(PercasymError):
    """Something is not what it was when it was made."""


_lock = Lock()
_checked: set[Path] = set()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in `folder`, by its path in it; the seal has none."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / SEAL
    }


def seal(folder: Path) -> dict[str, str]:
    """Writes the seal of what `folder` holds now, and returns it."""
    files = file_digests(folder)
    (folder / SEAL).write_text(json.dumps(files, indent=0))
    return files


def read_seal(folder: Path) -> dict[str, str] | None:
    """The seal of `folder`; None if there is none.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        files = json.loads((folder / SEAL).read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(files, dict):
        raise ValueError("no seal")
    return files


def fault(folder: Path) -> str:
    """The first file in `folder` that is missing or is not what it was when it was sealed; "" if none is.

    Files that came later are no fault. A folder without a seal cannot be judged, so it has none.
    """
    try:
        files: Mapping[str, str] = read_seal(folder) or {}
    except ValueError:
        return SEAL
    for name, expected in files.items():
        try:
            if file_digest(folder / name) != expected:
                return name
        except OSError:
            return name
    return ""


def check(folder: Path) -> None:
    """Compares a sealed folder with its seal, once in a process.

    Args:
        folder: sealed, or a part of what is: the nearest seal above counts.

    Raises:
        PercasymError: it is damaged.
    """
    for place in (folder, folder.parent):
        if (place / SEAL).is_file():
            break
    else:
        return
    place = place.resolve()
    with _lock:
        known = place in _checked
    if known:
        return
    if name := fault(place):
        raise Damaged(
            f"{place} is damaged: {name} is not what it was when it was made; run the same study again, "
            "which makes it anew, or restore a backup"
        )
    with _lock:
        _checked.add(place)
