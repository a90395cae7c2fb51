"""A Prefect server of one's own, for as long as a command runs.

Prefect can start a temporary server by itself, but that one has no UI and stays behind when the command is
killed. This module must not import prefect: it sets what prefect reads when it is imported.
"""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from percasym import launch
from percasym.errors import PercasymError
from percasym.home import Home

PATIENCE = 180.0  # seconds; a first start writes the database's tables, which takes a slow machine a while
FAREWELL = 5.0  # seconds for writing down the last states of runs

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "percasym",  # our own lines belong into the log of the run
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Prefect's lines go to the server; on the console they would only repeat what the bars show.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


@contextmanager
def prefect_server(home: Home) -> Iterator[Callable[[], str]]:
    """Starts a server whose data are in `home`; yields a function that waits for it and returns its address.

    Nothing is started where PREFECT_API_URL names a server.

    Raises:
        PercasymError: `home` cannot be written to; from that function, if the server does not come up.
    """
    try:
        home.prefect.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PercasymError(f"--home {home.root} cannot be written to: {error.strerror}") from None
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if given := os.environ.get("PREFECT_API_URL"):
        yield lambda: _answer(given.removesuffix("/api"), lambda: True, FAREWELL, "PREFECT_API_URL")
        return
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    os.environ |= {"PREFECT_HOME": str(home.prefect), "PREFECT_API_URL": f"{address}/api"}
    log = home.prefect / "server.log"
    with log.open("w") as output:
        process = launch.start(
            ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=output.fileno(),
            stderr=subprocess.STDOUT,
        )

    try:
        yield lambda: _answer(address, lambda: process.poll() is None, PATIENCE, str(log))
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(FAREWELL)
        launch.end(process)


def _answer(address: str, alive: Callable[[], bool], patience: float, advice: str) -> str:
    """`address`, when the server there answers."""
    deadline = time.monotonic() + patience
    while alive() and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/api/health", timeout=patience):
                return address
        except OSError:
            time.sleep(0.1)
    raise PercasymError(f"there is no Prefect server at {address}: see {advice}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
