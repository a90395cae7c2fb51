"""The login of a home: made once, for its owner's eyes only."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from percasym import logins
from percasym.errors import PercasymError
from percasym.home import Home

NAMES = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
NAMES += ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert logins.kept(home) == ""
    with ThreadPoolExecutor(8) as pool:
        (made,) = set(pool.map(lambda _: logins.login(home), range(8)))
    user, _, password = made.partition(":")
    assert (user, len(password)) == ("percasym", 43)
    assert logins.kept(home) == made
    assert mode(home.login) == 0o600
    home.login.chmod(0o644)
    assert logins.login(home) == made
    assert mode(home.login) == 0o600


@pytest.mark.parametrize("left", ["", "\n", "percasym", "percasym:", ":secret", "a:b\nc:d"])
def test_half_a_login_is_made_anew(tmp_path: Path, left: str) -> None:
    home = Home(tmp_path)
    home.login.write_text(left)
    home.login.with_suffix(".part").write_text("of one that was killed")
    assert logins.kept(home) == ""
    assert logins.login(home).startswith("percasym:")
    assert mode(home.login) == 0o600


def test_one_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.login.mkdir()
    with pytest.raises(PercasymError, match="cannot be read"):
        logins.login(home)


def test_what_the_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (logins.of_prefect(), logins.of_mlflow()) == ("", "")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    assert logins.of_mlflow() == ""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a:b")
    assert logins.of_mlflow() == "me:a:b"
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    assert logins.of_mlflow() == "admin:a:b"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "client:x")
    assert logins.of_prefect() == "client:x"
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "server:x")
    assert logins.of_prefect() == "server:x"
