"""The meaning of the code that a stage depends on: its own module, and every module of ours that it imports.

It is the tokens without comments, docstrings, blank lines and lines that only log, so none of
these repeats a stage.
"""

import hashlib
import io
import re
import sys
import tokenize
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
        "percasym",
        "percasym.config",
        "percasym.dataset_card",
        "percasym.engines.server",
        "percasym.engines.serving",
        "percasym.errors",
        "percasym.folders",
        "percasym.forkserver",
        "percasym.home",
        "percasym.launch",
        "percasym.lifecycle",
        "percasym.lifecycle.records",
        "percasym.presets",
        "percasym.seals",
        "percasym.sections",
        "percasym.tracking",
        "percasym.values",
    ),
    *("tasks.locks", "tasks.progress", "tasks.shards", "tasks.show", "tasks.sources", "tasks.stage"),
}

_FILE = re.compile(r"[^:]+\.(py|txt)(?=:|$)")
_SPACE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


@cache
def sources_digest(modules: tuple[str, ...]) -> str:
    """A digest of `sources(modules)`."""
    return digest(sources(modules))


@cache
def sources(modules: tuple[str, ...]) -> dict[str, str]:
    """A digest of each of `modules`, and of all modules of percasym and tasks that they import."""
    pending, seen = list(modules), dict[str, str]()
    while pending:
        name = pending.pop()
        if name not in seen and name not in PLUMBING and (path := _path(name)):
            seen[name], imports = _module(name, path)
            pending += imports
    return seen


def content_of_files(text: str) -> str:
    """A text in which the content of a file stands for its path: of a prompt, "path/to/file.txt", or of a
    puzzle, loss or reward of the user's, "path/to/file.py:NAME", which may stand amid other text."""
    return _FILE.sub(lambda found: hashlib.sha256(Path(found[0]).read_bytes()).hexdigest(), text)


@cache
def _module(name: str, path: Path) -> tuple[str, frozenset[str]]:
    """A digest of a module, and the names of ours that it imports; some of these are of functions and
    classes.

    What lies in a package beside its modules, such as a template, belongs to the package.
    """
    source = path.read_bytes()
    package = path.name == "__init__.py"
    beside = sorted(p for p in path.parent.iterdir() if p.is_file() and p.suffix != ".py") if package else []
    content = [_meaning(source), *(hashlib.sha256(p.read_bytes()).hexdigest() for p in beside)]
    imports = {
        name.rpartition(".")[0],
        *_imports(compile(source, str(path), "exec"), name if package else name.rpartition(".")[0]),
    }
    return digest(content), frozenset(i for i in imports if i.partition(".")[0] in ("percasym", "tasks"))


def _meaning(source: bytes) -> str:
    """A digest of the statements: each a line of tokens, with its indentation."""
    statements, line, depth = list[tuple[int, tuple[str, ...]]](), list[str](), 0
    kinds = set[int]()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        depth += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
        if token.type not in _SPACE:
            line.append(token.string)
            kinds.add(token.type)
        elif token.type == tokenize.NEWLINE:
            if kinds != {tokenize.STRING} and line[:2] != ["logger", "."]:
                statements.append((depth, tuple(line)))
            line, kinds = [], set()
    return digest(statements)


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
