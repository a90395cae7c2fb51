"""What names a place in a home folder, when the folder has another path."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from percasym.tracking import is_local, local_path

Places = Mapping[Path, Path]
"""From the old path of a folder to the new one; of two that hold a path, the first counts."""


def moved(text: str, places: Places) -> str:
    """`text` with the new place if it is a path or file: URI in an old one, or JSON with such texts in it.

    A path that merely occurs within a sentence stays as it is.
    """
    if text.startswith(("{", "[")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        new = _moved_within(value, places)
        return text if new == value else json.dumps(new)
    if text.startswith(("/", "file:")) and is_local(text):
        path = local_path(text)
        for old, place in places.items():
            if path.is_relative_to(old):
                target = place / path.relative_to(old)
                return target.as_uri() if text.startswith("file:") else str(target)
    return text


def move_database(database: Path, places: Places) -> int:
    """Moves every value of every table of an SQLite database; returns how many have changed.

    So it holds for whichever columns a version of MLflow keeps its places in: artifact URIs of experiments
    and runs, sources of model versions and data sets, our own tags.
    """
    changed = 0
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.create_function("moved", 1, lambda text: moved(text, places), deterministic=True)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for table in (_quoted(name) for (name,) in tables):
            for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                if kind.upper().startswith(("VARCHAR", "TEXT", "JSON")):
                    column = _quoted(name)
                    named = f"typeof({column}) = 'text' AND instr({column}, '/')"
                    changed += connection.execute(
                        f"UPDATE {table} SET {column} = moved({column}) "
                        f"WHERE {named} AND moved({column}) <> {column}"
                    ).rowcount
    return changed


def move_records(results: Path, places: Places) -> int:
    """Moves what Prefect's result records in a folder refer to; returns how many have changed."""
    changed = 0
    for path in results.rglob("*"):
        if path.is_file():
            text = path.read_text()
            if (new := moved(text, places)) != text:
                path.write_text(new)
                changed += 1
    return changed


def _moved_within(value: Any, places: Places) -> Any:
    if isinstance(value, str):
        return moved(value, places)
    if isinstance(value, list):
        return [_moved_within(one, places) for one in value]
    if isinstance(value, dict):
        return {key: _moved_within(one, places) for key, one in value.items()}
    return value


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
