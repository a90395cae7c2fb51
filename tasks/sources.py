"""Which code a stage depends on: its own module, and every module of ours that it imports."""

import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType

from percasym.seeding import digest

ROOT = Path(__file__).parent.parent

# Plumbing: it brings a stage its settings and carries its result away, but has no part in what the result is.
PLUMBING = {
    *(
        "percasym.allowed",
        "percasym.config",
        "percasym.errors",
        "percasym.folders",
        "percasym.home",
        "percasym.launch",
        "percasym.lifecycle",
        "percasym.lifecycle.records",
        "percasym.presets",
        "percasym.seals",
        "percasym.sections",
        "percasym.tracking",
    ),
    *("tasks.locks", "tasks.progress", "tasks.shards", "tasks.show", "tasks.sources", "tasks.stage"),
}


@cache
def sources_digest(modules: tuple[str, ...]) -> str:
    """A digest of the source of `modules` and of all modules of percasym and tasks that they import."""
    pending, seen = list(modules), dict[str, str]()
    while pending:
        name = pending.pop()
        if name not in seen and name not in PLUMBING and (path := _path(name)):
            seen[name], imports = _module(name, path)
            pending += imports
    return digest(seen)


def file_digest(address: str) -> str:
    """A digest of the file that a setting names: a prompt as "path/to/file.txt", a puzzle, loss or reward as
    "path/to/file.py:NAME"; "" for none.

    A reward names one amid its text: surrogate:path/to/file.py:function:0.5.
    """
    files = [Path(part) for part in address.split(":") if part.endswith((".py", ".txt"))]
    return hashlib.sha256(files[0].read_bytes()).hexdigest() if files else ""


@cache
def _module(name: str, path: Path) -> tuple[str, frozenset[str]]:
    """A digest of a module, and the names of ours that it imports; some of these are of functions and
    classes.

    What lies in a package beside its modules, such as a template, belongs to the package.
    """
    source = path.read_bytes()
    package = path.name == "__init__.py"
    beside = sorted(p for p in path.parent.iterdir() if p.is_file() and p.suffix != ".py") if package else []
    content = [hashlib.sha256(part).hexdigest() for part in (source, *(p.read_bytes() for p in beside))]
    imports = {
        name.rpartition(".")[0],
        *_imports(compile(source, str(path), "exec"), name if package else name.rpartition(".")[0]),
    }
    return digest(content), frozenset(i for i in imports if i.partition(".")[0] in ("percasym", "tasks"))


def _imports(code: CodeType, package: str) -> Iterator[str]:
    """What code imports, also inside its functions. (ast would tell too, but it fails in threads of 3.11.)"""
    for kind, what in ModuleFinder().scan_opcodes(code):
        if kind == "store":
            continue
        *level, names, base = what
        if level:  # relative: one dot is the package itself
            parents = package.split(".")[: len(package.split(".")) - level[0] + 1]
            base = ".".join([*parents, base]).rstrip(".")
        yield base
        yield from (f"{base}.{imported}" for imported in names or ())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant, package)


def _path(name: str) -> Path | None:
    """The file of one of our modules; None for what is no module, such as a class imported from one.

    It is found by its place: to ask Python for a submodule's file would import the package, and torch with
    it.
    """
    stem = ROOT.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    loaded = sys.modules.get(name)  # a stage that is defined elsewhere
    return Path(loaded.__file__) if loaded and loaded.__file__ else None
