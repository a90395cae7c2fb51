"""A first start that is killed while databases are made: the next one begins anew.

MLflow cannot go on with half of its tables ("table budget_policies already exists").
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

KILLED = """
    import os
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    made = []

    @event.listens_for(Engine, "after_cursor_execute")
    def kill(connection, cursor, statement, *more):
        made.append(statement.lstrip().startswith(("CREATE", "ALTER", "INSERT")))
        if sum(made) == {moment}:
            os.kill(os.getpid(), 9)
"""
BEGIN = """
    from percasym.home import Home
    home = Home.current()
    home.root.mkdir(exist_ok=True)
"""
MAKES = {
    "a study": ("mlflow.db", "from percasym.tracking import Tracker; Tracker.current()"),
    "percasym up": ("mlflow.db", "from flows.up import _make_database; _make_database(home)"),
    "percasym up with users": (
        "mlflow-users.db",
        "from flows.up import _make_user_database; _make_user_database(home.root / 'mlflow-users.db')",
    ),
}


@pytest.mark.parametrize("moment", [2, 12])
@pytest.mark.parametrize("who", MAKES)
def test_a_database_is_made_whole_or_not_at_all(
    who: str, moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCASYM_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    name, make = MAKES[who]
    begin, kill = textwrap.dedent(BEGIN), textwrap.dedent(KILLED.format(moment=moment))
    killed = subprocess.run([sys.executable, "-c", f"{kill}{begin}{make}"], check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "new" / name).exists()
    again = subprocess.run([sys.executable, "-c", f"{begin}{make}"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "new" / name).exists()
