"""Puzzles and other tasks by name: built in, installed, or in a file of the user's."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from percasym.errors import PercasymError
from percasym.extensions import load_class
from percasym.puzzles.base import Puzzle, Task, TaskConfig
from percasym.puzzles.graph_coloring import GraphColoringPuzzle
from percasym.puzzles.sudoku import SudokuPuzzle

BUILT_IN: dict[str, type[Puzzle[Any]]] = {
    family.name: family for family in (SudokuPuzzle, GraphColoringPuzzle)
}
ENTRY_POINTS = "percasym.puzzles"
ALLOWED_FILES = "PERCASYM_PUZZLE_FILES"  # environment variable: the names of puzzle files that may be run


def load_puzzle(name: str, config: Mapping[str, Any] | None = None) -> Puzzle[Any]:
    """The puzzle called `name`, set up by `config`; see `load_task`.

    Raises:
        PercasymError: as `load_task`, or it is no puzzle.
    """
    return drawn(load_task(name, config))


def load_task(name: str, config: Mapping[str, Any] | None = None) -> Task[Any]:
    """The puzzle, or other task, called `name`, set up by `config`.

    `name` is "sudoku", "graph_coloring", an entry point of an installed package in the group
    `percasym.puzzles`, or "path/to/file.py:Class". To name a file is to consent that it is run, here and,
    wherever a data set names it too, in the processes that this one starts (through the variable
    PERCASYM_PUZZLE_FILES).

    Raises:
        PercasymError: an unknown name, a file or class that is no task, or a config out of range.
    """
    family = _family(name)
    try:
        task = family(family.Config.model_validate(config or {}))
    except ValidationError as error:
        raise PercasymError(f"puzzle {name}: {_in_one_line(error)}") from None
    task.address = name
    return task


def drawn(task: Task[Any]) -> Puzzle[Any]:
    """`task`, if it is a puzzle, whose items can be drawn.

    Raises:
        PercasymError: it is none.
    """
    if not isinstance(task, Puzzle):
        raise PercasymError(f"{task.address} draws no items: it is for data that there are (data=FOLDER)")
    return task


def task_config(name: str) -> type[TaskConfig]:
    """What the puzzle, or other task, called `name` can be asked for.

    Raises:
        PercasymError: as `load_task`.
    """
    return _family(name).Config


def spec(task: Task[Any]) -> str:
    """`task` as one line of JSON for `load_spec`: the column `puzzle` of a data set."""
    config = task.config.model_dump(mode="json")
    return json.dumps({"name": task.address, "config": config}, sort_keys=True)


@lru_cache(maxsize=256)
def load_spec(text: str) -> Task[Any]:
    """The task that `spec` wrote.

    A data set may come from anywhere, so a file that it names is run only if the user has named that file
    too: to `load_puzzle`, in this process or the one that started it, or in the variable
    PERCASYM_PUZZLE_FILES.

    Raises:
        PercasymError: not a text of `spec`, a file that the user has not named, or as `load_puzzle`.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"name": str(name), "config": dict(config)}:
            if _is_file(name) and name not in _allowed_files():
                raise PercasymError(
                    f"the data set asks to run {name}: set {ALLOWED_FILES}={name} to allow it"
                )
            return load_task(name, config)
    raise PercasymError(f"no JSON of a puzzle's name and config: {text[:60]!r}")


def _family(name: str) -> type[Task[Any]]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if _is_file(name):
        family = load_class(name, Task)
        _allow_file(name)
        return _whole(name, family)
    installed = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in installed:
        known = ", ".join([*BUILT_IN, *sorted(installed)])
        raise PercasymError(f"no puzzle {name!r}: use one of {known}, or path/to/file.py:Class")
    try:
        found = installed[name].load()
    except Exception as error:
        raise PercasymError(f"the installed puzzle {name} fails on import: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise PercasymError(f"the installed {name} is no subclass of percasym.puzzles.Task")
    return _whole(name, found)


def _is_file(name: str) -> bool:
    return ".py:" in name


def _allowed_files() -> list[str]:
    return [name for name in os.environ.get(ALLOWED_FILES, "").split(",") if name]


def _allow_file(name: str) -> None:
    allowed = _allowed_files()
    if name not in allowed:
        os.environ[ALLOWED_FILES] = ",".join([*allowed, name])


def _whole(name: str, family: type[Task[Any]]) -> type[Task[Any]]:
    missing = sorted(family.__abstractmethods__)
    if missing:
        raise PercasymError(f"{name} lacks {', '.join(missing)}: see docs/puzzles.md")
    return family


def _in_one_line(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{where}: {what}" if where else what)
    return "; ".join(problems)
