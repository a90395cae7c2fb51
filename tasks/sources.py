"""Which code a stage depends on: its own module and every library module that it imports, however indirectly."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from percasym.seeding import digest

# Plumbing: it brings a stage its settings and carries its result away, but has no part in what the result is.
PLUMBING = {"percasym.config", "percasym.errors", "percasym.home", "percasym.launch", "percasym.tracking"}


@cache
def sources_digest(modules: tuple[str, ...]) -> str:
    """A digest of the source of `modules` and of all modules of percasym that they import."""
    pending, seen = list(modules), dict[str, str]()
    while pending:
        name = pending.pop()
        if name in seen or name in PLUMBING:
            continue
        path = _path(name)
        if path is None:
            continue
        source = path.read_bytes()
        seen[name] = hashlib.sha256(source).hexdigest()
        pending += [imported for imported in _imports(name, path, source) if imported.startswith("percasym")]
        pending += _parents(name)
    return digest(seen)


def file_digest(address: str) -> str:
    """A digest of the source of a puzzle or loss that is given as "path/to/file.py:Class"; "" for a built-in one."""
    path = Path(address.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" else ""


def _imports(name: str, path: Path, source: bytes) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*kept, base] if base else kept)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # a submodule, or a name in it


def _parents(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[:n]) for n in range(1, len(parts)))


@cache
def _path(name: str) -> Path | None:
    """The file of a module; None for what is no module, such as a class imported from one."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
        return Path(file) if file else None
    try:
        found = find_spec(name)
    except ModuleNotFoundError:  # its parent is no package
        return None
    return Path(found.origin) if found and found.origin else None
