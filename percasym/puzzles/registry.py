"""Puzzles by name."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from percasym.errors import PercasymError
from percasym.puzzles.base import Puzzle
from percasym.puzzles.graph_coloring import GraphColoringPuzzle
from percasym.puzzles.sudoku import SudokuPuzzle

BUILT_IN: dict[str, type[Puzzle[Any]]] = {p.name: p for p in (SudokuPuzzle, GraphColoringPuzzle)}
ENTRY_POINTS = "percasym.puzzles"
CONSENT = "PERCASYM_PUZZLE_FILES"


def load_puzzle(name: str, config: Mapping[str, Any] | None = None) -> Puzzle[Any]:
    """The puzzle called `name`, set up by `config`.

    `name` is "sudoku", "graph_coloring", a name that an installed package registers as an entry point of the group
    `percasym.puzzles`, or "path/to/file.py:Class". Naming a file is consent to run it: it is imported, here and, for
    the sake of data sets that name it, in this process's children (by way of the variable PERCASYM_PUZZLE_FILES).

    Raises:
        PercasymError: an unknown name, a file or class that is not there or is no puzzle, or a config out of range.
    """
    if _is_file(name):
        allowed = _allowed_files()
        if name not in allowed:
            os.environ[CONSENT] = os.pathsep.join([*allowed, name])
    puzzle_class = _find(name)
    try:
        puzzle = puzzle_class(puzzle_class.Config.model_validate(config or {}))
    except ValidationError as error:
        raise PercasymError(_one_line(name, error)) from None
    puzzle.address = name
    return puzzle


def spec(puzzle: Puzzle[Any]) -> str:
    """`puzzle` as one line of JSON, which `load_spec` turns back: what a data set stores in its column `puzzle`."""
    return json.dumps({"name": puzzle.address, "config": puzzle.config.model_dump(mode="json")}, sort_keys=True)


@lru_cache(maxsize=256)
def load_spec(text: str) -> Puzzle[Any]:
    """The puzzle that `spec` wrote.

    A data set may come from anywhere, so a puzzle in a file is imported only if the user has named that file: to
    `load_puzzle` in this process or a parent, or in the variable PERCASYM_PUZZLE_FILES.

    Raises:
        PercasymError: a text that `spec` did not write, a file that the user has not named, or as `load_puzzle`.
    """
    try:
        value = json.loads(text)
        name, config = value["name"], value["config"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise PercasymError(f"this is no puzzle of a data set: {text[:60]!r}") from None
    if not isinstance(name, str) or not isinstance(config, dict):
        raise PercasymError(f"this is no puzzle of a data set: {text[:60]!r}")
    if _is_file(name) and name not in _allowed_files():
        raise PercasymError(f"the data set wants to run the code in {name}: set {CONSENT}={name} to allow it")
    return load_puzzle(name, config)


def _is_file(name: str) -> bool:
    return ".py:" in name


def _allowed_files() -> list[str]:
    return [name for name in os.environ.get(CONSENT, "").split(os.pathsep) if name]


def _find(name: str) -> type[Puzzle[Any]]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if _is_file(name):
        return _from_file(name)
    installed = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in installed:
        known = ", ".join([*BUILT_IN, *sorted(installed)])
        raise PercasymError(f"no puzzle {name!r}: use one of {known}, or path/to/file.py:Class")
    return _checked(installed[name].load(), name)


@lru_cache
def _from_file(name: str) -> type[Puzzle[Any]]:
    path, _, class_name = name.rpartition(":")
    if not Path(path).is_file():
        raise PercasymError(f"no file {path}: name a puzzle as path/to/file.py:Class")
    module_name = "percasym_puzzle_" + hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:16]
    found = importlib.util.spec_from_file_location(module_name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise PercasymError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, class_name):
        raise PercasymError(f"{path} has no class {class_name!r}")
    return _checked(getattr(module, class_name), name)


def _checked(found: Any, name: str) -> type[Puzzle[Any]]:
    if not (isinstance(found, type) and issubclass(found, Puzzle)):
        raise PercasymError(f"{name} is no subclass of percasym.puzzles.Puzzle")
    return found


def _one_line(name: str, error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{where}: {what}" if where else what)
    return f"puzzle {name}: {'; '.join(problems)}"
