"""`percasym up` in daily use, with passwords set: what runs, what is refused, and what is left behind."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fixtures.tiny import arguments, form
from fixtures.up import Running, clean, running_up

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200), pytest.mark.xdist_group("up")]

SECRETS = {
    "PREFECT_SERVER_API_AUTH_STRING": "team:planted-prefect-secret",
    "PREFECT_API_AUTH_STRING": "team:planted-prefect-secret",
    "MLFLOW_TRACKING_USERNAME": "team",
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-secret",
    "PERCASYM_API_KEY": "planted-api-secret",
    "HF_TOKEN": "planted-hub-secret",
    "AWS_SECRET_ACCESS_KEY": "planted-store-secret",
}
GRACE = 10.0  # seconds in which a cancelled run has to be gone


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("up") / "home"
    with running_up(home, "--reevaluate", "1d", **SECRETS) as running:
        yield running


def command(up: Running, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "flows.cli", *arguments, "--home", str(up.home)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=clean(SECRETS))


@pytest.fixture(scope="module")
def studied(up: Running) -> Running:
    """With a study that has ended."""
    state = up.ended(up.start("study", **form("daily")))
    assert state["state_type"] == "COMPLETED", state["state"]["message"]
    return up


def test_it_says_what_runs(up: Running) -> None:
    said = command(up, "up", "--check")
    assert said.returncode == 0, said.stdout
    assert up.prefect in said.stdout
    assert up.mlflow in said.stdout


def test_a_second_one_and_a_port_in_use_are_one_line(up: Running, tmp_path: Path) -> None:
    again = command(up, "up")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == (
        f"error: `percasym up` runs already in {up.home}: Prefect at {up.prefect}, MLflow at {up.mlflow}\n"
    )
    other = [sys.executable, "-m", "flows.cli", "up", "--home", str(tmp_path / "other")]
    port = up.mlflow.rpartition(":")[2]
    busy = subprocess.run([*other, "--mlflow-port", port], capture_output=True, text=True, check=False)
    assert busy.returncode == 2
    assert busy.stderr.startswith(f"error: --mlflow-port {port}: address already in use")
    stopped = subprocess.run([*other, "--check"], capture_output=True, text=True, check=False)
    assert (stopped.returncode, stopped.stdout.count("does not run")) == (1, 3)


def test_without_credentials_there_is_no_entry(up: Running) -> None:
    for address in (
        f"{up.prefect}/api/admin/version",
        f"{up.mlflow}/api/2.0/mlflow/experiments/get?experiment_id=0",
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(address)
        assert error.value.code == 401
    assert up.api("POST", "/flows/count", {}) == 5


def test_it_listens_on_loopback_alone(up: Running) -> None:
    family = [psutil.Process(up.process.pid), *psutil.Process(up.process.pid).children(recursive=True)]
    addresses = set()
    for process in family:
        with suppress(psutil.NoSuchProcess):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    addresses.add(connection.laddr.ip)
    assert addresses == {"127.0.0.1"}


def test_a_command_uses_the_servers_that_run_and_finds_what_they_did(studied: Running) -> None:
    said = command(studied, "study", *arguments("daily"))
    assert said.returncode == 0, said.stderr
    assert f"watch it at {studied.prefect}" in said.stderr
    assert said.stderr.count(": hit") == 10


def test_no_secret_is_written_anywhere(studied: Running) -> None:
    files = [path for path in studied.home.rglob("*") if path.is_file()]
    assert any(path.name == "prefect.db" for path in files)
    assert any(path.name == "mlflow.db" for path in files)
    for path in files:
        content = path.read_bytes()
        assert b"planted-" not in content, path


def test_a_cancelled_run_leaves_no_process_behind(studied: Running) -> None:
    run = studied.start("study", **form("cancelled", **{"pretrain.steps": 100_000}))

    def working() -> list[psutil.Process]:
        found = []
        for process in psutil.Process(studied.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if "percasym.sft" in line or "prefect.flow_engine" in line:
                    found.append(process)
        return found

    deadline = time.monotonic() + 300
    while not any("percasym.sft" in " ".join(process.cmdline()) for process in working()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    studied.api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    cancelled = time.monotonic()
    while working():
        assert time.monotonic() < cancelled + GRACE
        time.sleep(0.1)
    assert studied.ended(run)["state_type"] == "CANCELLED"


def test_a_server_that_was_killed_is_started_again(studied: Running) -> None:
    def family() -> list[psutil.Process]:
        return [
            process
            for process in psutil.Process(studied.process.pid).children()
            if {"mlflow", "flows.guard:prefect_app"} & set(process.cmdline())
        ]

    killed = family()
    assert len(killed) == 2
    descendants = [process for server in killed for process in server.children(recursive=True)]
    assert len(descendants) > 1
    for server in killed:
        server.kill()
    state = studied.ended(studied.start("study", **form("daily")))
    assert state["state_type"] == "COMPLETED", state["state"]["message"]
    assert len(family()) == 2
    assert not [process for process in descendants if process.is_running()]
