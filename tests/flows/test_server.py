"""Who gets the login of a home: its own servers and their clients, a terminal, and nobody else."""

import io
import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fixtures.local_server import local_server

from flows.server import link, mlflow_login, prefect, prefect_server, use_prefect
from percasym import logins
from percasym.errors import PercasymError
from percasym.home import Home

NAMES = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING", "PREFECT_API_URL", "PREFECT_HOME")
NAMES += ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
ADDRESS = "http://127.0.0.1:4200"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home, in an environment without logins."""
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what is set by the tests is taken back
        monkeypatch.delenv(name)
    return Home(tmp_path)


def test_a_link_logs_in_on_a_terminal_alone(own: Home) -> None:
    login = logins.login(own)
    assert link(own, ADDRESS, login, Terminal()) == f"{ADDRESS}/enter#{login}"
    assert link(own, ADDRESS, login, io.StringIO()) == ADDRESS


@pytest.mark.parametrize("given", ["", "team:planted"])
def test_a_login_that_somebody_set_is_not_shown_and_ours_not_for_other_servers(own: Home, given: str) -> None:
    logins.login(own)
    assert link(own, ADDRESS, given, Terminal()) == ADDRESS


def test_servers_and_clients_have_the_same_login(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    server = prefect(own, "127.0.0.1", 4200)
    use_prefect(own, ADDRESS)
    login = logins.login(own)
    assert server.environment["PREFECT_SERVER_API_AUTH_STRING"] == login
    assert os.environ["PREFECT_API_AUTH_STRING"] == login
    assert login.partition(":")[2] not in " ".join(server.command)
    client = mlflow_login(own)
    assert f"{client['MLFLOW_TRACKING_USERNAME']}:{client['MLFLOW_TRACKING_PASSWORD']}" == login
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted")
    assert mlflow_login(own)["MLFLOW_TRACKING_PASSWORD"] == "planted"


def test_another_server_is_not_sent_our_login_and_its_refusal_is_one_line(
    own: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("authorization", ""))
            self.send_response(200 if self.path == "/api/health" else 401)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    logins.login(own)
    with local_server(Refusing) as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        with (
            prefect_server(own) as server,
            pytest.raises(PercasymError, match="set PREFECT_API_AUTH_STRING=USER:PASSWORD"),
        ):
            server()
    assert asked == ["", ""]
