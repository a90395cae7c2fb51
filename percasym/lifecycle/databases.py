"""SQLite databases that others may be writing to: checked and copied as they are at one moment."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from percasym.errors import PercasymError
from percasym.home import Home

EMPTY = "it is empty"
LOCK_SECONDS = 60.0  # that a writer may take


def databases(home: Home) -> list[Path]:
    """The SQLite databases of a home: MLflow's, Prefect's, and that of MLflow's users if there is one."""
    found = [path for folder in (home.root, home.prefect) for path in sorted(folder.glob("*.db"))]
    return [path for path in found if path.is_file()]


def copy_database(source: Path, target: Path) -> None:
    """Writes a consistent copy, in one step: a writer has to wait for it, and it for a writer.

    Raises:
        PercasymError: the database is damaged or cannot be read.
    """
    try:
        with _opened(source) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            fault = _fault(new) if source.stat().st_size else EMPTY
    except sqlite3.Error as error:
        raise PercasymError(f"cannot copy {source}: {error}") from error
    if fault:
        raise PercasymError(f"{source} is damaged: {fault}")


def check_database(path: Path, patience: float) -> str:
    """What is wrong with a database; "" for nothing that could be found within `patience` seconds."""
    deadline = time.monotonic() + patience
    if not path.stat().st_size:
        return EMPTY
    try:
        with _opened(path) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
            return _fault(connection)
    except sqlite3.Error as error:
        return "" if "interrupted" in str(error) else str(error)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Read only, if that is possible: not where a killed writer has left a change to be taken back."""
    address = f"file:{quote(str(path))}?mode="
    with closing(sqlite3.connect(address + "ro", uri=True, timeout=LOCK_SECONDS)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
        else:
            yield connection
            return
    with closing(sqlite3.connect(address + "rw", uri=True, timeout=LOCK_SECONDS)) as connection:
        yield connection


def _fault(connection: sqlite3.Connection) -> str:
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if found == "ok" else found.splitlines()[-1]
