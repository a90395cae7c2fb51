"""What a form of the Prefect UI may name.

A form is filled in by whoever reaches its page, so a name in it is not the word of the person whose machine
it is. What is built in or installed, ids of the Hub and registered models are free. A file, a folder, an
address and an override of verl's settings are refused, unless the person who starts servers and workers has
allowed them: in the variable PERCASYM_ALLOWED, by commas, which is what `percasym up --allow` sets. Names on
the command line are that person's own word, and free.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic import BaseModel

from percasym.errors import PercasymError

VARIABLE = "PERCASYM_ALLOWED"
# An id of the Hub, NAME@ALIAS of a registered model, or what a server calls one.
MODEL = re.compile(r"\w[\w.@:-]*(/\w[\w.@:-]*)*", re.ASCII)
# So plain that all programs read it alike: in "http://a\@b" some see the one host, some the other.
ADDRESS = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?:/[\w./~-]*)?", re.ASCII | re.I
)
PORTS = {"http": 80, "https": 443}

_confined: ContextVar[bool] = ContextVar("confined", default=False)


class NotAllowed(PercasymError):
    """A form names what nobody has allowed."""


class Names(Enum):
    """What the text of a setting names. Each setting that is a text says so in its annotation."""

    NOTHING = "nothing"
    """It is text and no more, or is chosen from what percasym knows itself."""
    CODE = "code"
    """Something built in or installed, or path/to/file.py:NAME, which is asked for when it is loaded."""
    FILE = "file"
    MODEL = "model"
    """A folder or an id of the Hub."""
    ADDRESS = "address"
    OVERRIDE = "override of verl's settings"


@contextmanager
def confined() -> Iterator[None]:
    """Within, names are those of a form."""
    token = _confined.set(True)
    try:
        yield
    finally:
        _confined.reset(token)


def allow(names: Iterable[str]) -> None:
    """Allows these names, beside those that are allowed, in this process and those that it starts.

    Raises:
        PercasymError: a name that is neither a file or folder that is there, nor an address or an override.
    """
    entries = _entries()
    for name in names:
        if "," in name:
            raise PercasymError(f"--allow {name!r}: no commas, as they stand between the names in {VARIABLE}")
        if os.path.exists(os.path.expanduser(name)):
            name = str(_resolved(name))
        elif not ADDRESS.fullmatch(name) and "=" not in name and "://" not in name:
            raise PercasymError(
                f"--allow {name!r}: there is no such file or folder; an address begins with http://, "
                "an override is name=value"
            )
        entries.append(name)
    os.environ[VARIABLE] = ",".join(dict.fromkeys(entries))


def check_settings(config: BaseModel, known: Iterable[str] = ()) -> None:
    """Refuses settings of a form that name what is not allowed.

    Args:
        known: names of the study's own, which are no names of models.

    Raises:
        NotAllowed: the first of them.
    """
    if not _confined.get():
        return
    own = set(known)
    for field, info in type(config).model_fields.items():
        names = next((one for one in info.metadata if isinstance(one, Names)), None)
        value = getattr(config, field)
        if isinstance(value, BaseModel):
            check_settings(value, own)
        for text in filter(None, _texts(value)):
            if names is None:
                if get_origin(info.annotation) is not Literal:
                    raise NotAllowed(f"{field} cannot be set in a form: nobody has said what it names")
            elif not (names is Names.MODEL and text in own):
                check(names, text)


def check(names: Names, text: str) -> None:
    """Refuses the text of a setting of a form if it names what is not allowed.

    Raises:
        NotAllowed: it does.
    """
    if not _confined.get():
        return
    match names:
        case Names.FILE:
            check_path(text)
        case Names.MODEL:
            if os.path.exists(os.path.expanduser(text)) or not MODEL.fullmatch(text):
                check_path(text)
        case Names.ADDRESS:
            origin = _origin(text)
            if origin is None or origin not in map(_origin, _entries()):
                raise _refusal(f"the address {text!r}", text)
        case Names.OVERRIDE:
            if text not in _entries():
                raise _refusal(f"the override {text!r}", text)
        case Names.NOTHING | Names.CODE:
            pass


def check_path(path: str | Path) -> None:
    """Refuses a file or folder that a form names, unless it is allowed or in a folder that is.

    Raises:
        NotAllowed: it is not.
    """
    if not _confined.get():
        return
    found = _resolved(path)
    folders = [_resolved(entry) for entry in _entries() if "://" not in entry]
    if found is None or not any(found.is_relative_to(folder) for folder in folders if folder):
        raise _refusal(f"the path {str(path)!r}", str(path))


def check_artifact(place: str, root: str) -> None:
    """Refuses an artifact that is neither below `root`, where percasym keeps them, nor in an allowed place.

    A form may name a registered model, and its entry in MLflow any place.

    Args:
        place: a path, or the address of a folder in a store.
        root: likewise.

    Raises:
        NotAllowed: it is elsewhere.
    """
    if not _confined.get():
        return
    if "://" in place:
        stores = [entry.rstrip("/") + "/" for entry in (root, *_entries()) if "://" in entry]
        if ".." in place.split("/") or not any(place.startswith(store) for store in stores):
            raise _refusal(f"the artifact {place!r}", place)
        return
    found, folder = _resolved(place), _resolved(root)
    if found is None or folder is None or not found.is_relative_to(folder):
        check_path(place)


def _refusal(what: str, entry: str) -> NotAllowed:
    return NotAllowed(
        f"{what} may not be named in a form: whoever starts the servers can allow it, by "
        f"`percasym up --allow {entry!r}`, or in {VARIABLE} of a worker"
    )


def _entries() -> list[str]:
    return [entry for entry in os.environ.get(VARIABLE, "").split(",") if entry]


def _resolved(path: str | Path) -> Path | None:
    """Where a path leads, past symbolic links and `..`; None for what cannot be a path."""
    try:
        return Path(os.path.realpath(os.path.expanduser(path)))
    except (OSError, ValueError):
        return None


def _origin(address: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address; None for one that is not plain."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        return None
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    return scheme, host, int(port) if port else PORTS[scheme]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
