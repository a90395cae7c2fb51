"""Servers of a home folder: Prefect's for as long as a command runs, or those that `percasym up` keeps.

Prefect can start a temporary server by itself, but that one has no UI and stays behind when the command is
killed. This module must not import prefect: it sets what prefect reads when it is imported.
"""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel

from percasym import launch, logins
from percasym.errors import PercasymError
from percasym.home import Home

START_SECONDS = 180.0  # a first start writes the database's tables, which takes a slow machine a while
PERIOD = 0.5  # seconds between two looks at servers
HASTE = 60.0  # seconds: servers that have ended more often than that within are not started again
RESTARTS = 5
END_SECONDS = 5.0  # for writing down the last states of runs
LOOPBACK = "127.0.0.1"
LOCAL = (LOOPBACK, "localhost", "[::1]")  # names of this machine that no other site can have
HOSTS = "PERCASYM_SERVER_HOSTS"  # environment variable of a server: names that it answers to, by commas
ENTRANCE = "/enter"  # path of the page that logs a browser in
MARK = "PERCASYM_SERVER"  # environment variable by which the descendants of a server are known

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "percasym",  # our own lines belong into the log of the run
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Prefect's lines go to the server; on the console they would only repeat what the bars show.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    # A server that is started anew is back within this many tries, each after a longer pause.
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",  # seconds until what was started in the UI begins
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}


class Up(BaseModel, frozen=True):
    """What `percasym up` has written down of itself."""

    pid: int
    prefect: str
    """Address of Prefect's server, without /api."""
    mlflow: str


@dataclass
class Server:
    """A server that is a child of this process, and can be started again."""

    name: str
    command: list[str]
    """Module and arguments, for `python -m`."""
    log: Path
    ready: Callable[[], bool]
    environment: dict[str, str]
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Starts it; what a killed one has left behind, which may still hold its port, is ended first."""
        mark = {MARK: f"{os.getpid()} {self.name}"}
        if self.process is not None:
            for process in psutil.process_iter(["environ"]):
                if (process.info["environ"] or {}).get(MARK) == mark[MARK]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
        with self.log.open("a") as output:
            self.process = launch.start(
                self.command,
                stdout=output.fileno(),
                stderr=subprocess.STDOUT,
                environment={**self.environment, **mark},
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self) -> None:
        """Waits until it is ready.

        Raises:
            PercasymError: it has ended, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if not self.alive or time.monotonic() > deadline:
                raise PercasymError(f"{self.name} did not start: see {self.log}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)
            launch.end(self.process)


def prefect(home: Home, host: str, port: int, names: Sequence[str] = LOCAL) -> Server:
    """Prefect's server, not started yet; its data are in `home`."""
    address = f"http://{_reachable(host)}:{port}"
    command = ["uvicorn", "--factory", "flows.guard:prefect_app", "--log-level", "error"]
    return Server(
        "Prefect's server",
        [*command, "--host", host, "--port", str(port)],
        home.prefect / "server.log",
        lambda: answers(f"{address}/api/health"),
        {
            "PREFECT_HOME": str(home.prefect),
            "PREFECT_SERVER_API_AUTH_STRING": logins.of_prefect() or logins.login(home),
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address,
            "PREFECT_SERVER_UI_API_URL": "/api",  # the pages' own server, by whatever name they were opened
            HOSTS: ",".join(names),
        },
    )


def use_prefect(home: Home, address: str) -> None:
    """Makes this process and its children clients of a server of ours."""
    os.environ |= {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_API_AUTH_STRING": logins.of_prefect() or logins.login(home),
    }


def mlflow_login(home: Home) -> dict[str, str]:
    """What lets into an MLflow server of ours, in the environment of a client of it."""
    user, _, password = (logins.of_mlflow() or logins.login(home)).partition(":")
    return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}


def link(home: Home, address: str, login: str, output: IO[str]) -> str:
    """The address of a server, for a person to open.

    On a terminal it logs in; elsewhere, as in a log, it holds no secret.

    Args:
        login: what the server wants; one that is not kept in `home` is never shown.
    """
    if not login or login != logins.kept(home) or not output.isatty():
        return address
    return f"{address}{ENTRANCE}#{quote(login, safe=':')}"


def answers(url: str) -> bool:
    """Whether a server is there and well."""
    try:
        with urllib.request.urlopen(url, timeout=END_SECONDS):
            return True
    except OSError:
        return False


def up_lock(home: Home) -> FileLock:
    """The lock that `percasym up` holds for as long as it runs."""
    home.locks.mkdir(parents=True, exist_ok=True)
    return FileLock(home.locks / "up.lock")


def running(home: Home) -> Up | None:
    """What runs in `home` by `percasym up`; waits for one that is starting."""
    if not home.root.is_dir():
        return None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with up_lock(home).acquire(timeout=0):
                return None
        except Timeout:
            with suppress(OSError, json.JSONDecodeError):
                return Up.model_validate_json(home.up.read_text())
        time.sleep(0.2)
    raise PercasymError(f"`percasym up` in {home.root} is not ready after {START_SECONDS:.0f} s: end it")


@contextmanager
def prefect_server(home: Home) -> Iterator[Callable[[], str]]:
    """Finds or starts a server whose data are in `home`; yields a function that waits for it and returns its
    address.

    Nothing is started where PREFECT_API_URL names a server, or `percasym up` runs one in `home`; the MLflow
    server of the latter is used as well.

    Raises:
        PercasymError: `home` cannot be written to; from that function, if the server does not come up.
    """
    prepare(home)
    given = os.environ.get("PREFECT_API_URL")
    if (up := running(home)) and given in (None, "", f"{up.prefect}/api"):
        use_prefect(home, up.prefect)
        if os.environ.setdefault("MLFLOW_TRACKING_URI", up.mlflow) == up.mlflow:
            os.environ |= mlflow_login(home)
        yield lambda: _given(up.prefect)
        return
    if given:
        yield lambda: _given(given.removesuffix("/api"))
        return
    server = prefect(home, LOOPBACK, port := free_port())
    address = f"http://{LOOPBACK}:{port}"
    use_prefect(home, address)
    server.log.unlink(missing_ok=True)
    server.start()

    stopped = threading.Event()
    keeper = threading.Thread(target=keep, args=([server], stopped), daemon=True)

    def wait() -> str:
        server.wait()
        keeper.start()
        return address

    try:
        yield wait
    finally:
        stopped.set()
        if keeper.is_alive():
            keeper.join()
        server.stop()


def keep(servers: Sequence[Server], stopped: threading.Event) -> None:
    """Starts again what has ended, until it is `stopped`.

    Raises:
        PercasymError: a server ends again and again.
    """
    ended: list[float] = []
    while not stopped.wait(PERIOD):
        for server in servers:
            if not server.alive:
                now = time.monotonic()
                ended = [moment for moment in ended if now - moment < HASTE] + [now]
                if len(ended) > RESTARTS:
                    raise PercasymError(f"{server.name} ends again and again: see {server.log}")
                server.start()


def prepare(home: Home) -> None:
    """Makes the folder, and sets what all processes of a pipeline have in common.

    Raises:
        PercasymError: `home` cannot be written to.
    """
    try:
        home.prefect.mkdir(parents=True, exist_ok=True)
        probe = home.prefect / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PercasymError(f"--home {home.root} cannot be written to: {error.strerror}") from None
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _given(address: str) -> str:
    deadline = time.monotonic() + END_SECONDS
    while not answers(f"{address}/api/health"):
        if time.monotonic() > deadline:
            raise PercasymError(f"there is no Prefect server at {address}: see PREFECT_API_URL")
        time.sleep(0.1)
    if _refused(f"{address}/api/admin/version", os.environ.get("PREFECT_API_AUTH_STRING", "")):
        raise PercasymError(
            f"the Prefect server at {address} wants another login: set PREFECT_API_AUTH_STRING=USER:PASSWORD"
        )
    return address


def _refused(url: str, login: str) -> bool:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=END_SECONDS):
            return False
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except OSError:
        return False


def _reachable(host: str) -> str:
    return LOOPBACK if host in ("0.0.0.0", "::") else host
