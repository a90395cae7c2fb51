"""One command for one person: Prefect, MLflow, and the process that runs what their UI starts.

All three are children of this process, on loopback unless told otherwise, with their data in one home folder.
One that ends is started again, so that flows which wait for it go on. As flows/server.py says, prefect must
not be imported before its settings are made.
"""

import os
import platform
import socket
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from flows.server import (
    HOSTS,
    LOCAL,
    LOOPBACK,
    Server,
    Up,
    answers,
    keep,
    mlflow_login,
    prefect,
    prepare,
    running,
    up_lock,
    use_prefect,
)
from percasym import logins
from percasym.errors import PercasymError
from percasym.home import Home

MIN_PASSWORD = 12  # characters that MLflow wants
EVERYWHERE = ("0.0.0.0", "::")  # stand for all addresses of this machine
PASSWORDS = ("PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD")


def up(
    home: Home,
    host: str,
    prefect_port: int,
    mlflow_port: int,
    devices: int,
    reevaluate: str,
    names: Sequence[str],
    ready: Callable[[Up], None],
) -> None:
    """Keeps the servers up until it is interrupted.

    Args:
        host: address that both listen at; others than loopback want passwords.
        devices: GPUs that all flows share; 0: as many as there are.
        reevaluate: when models are evaluated again: a cron line, or an interval such as 6h; empty: never.
        names: by which others reach both, besides the address and the name of this machine.
        ready: is called once all of them answer.

    Raises:
        PercasymError: they run already, a port is in use, `home` cannot be written to, or one of them does
            not start.
    """
    if host != LOOPBACK and not all(os.environ.get(name) for name in PASSWORDS):
        raise PercasymError(
            f"--host {host} lets others in: set {' and '.join(PASSWORDS)} first, see docs/security.md"
        )
    prepare(home)
    lock = up_lock(home)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PercasymError(_runs_already(home)) from None
    servers: list[Server] = []
    try:
        home.up.unlink(missing_ok=True)
        for port, option in ((prefect_port, "--prefect-port"), (mlflow_port, "--mlflow-port")):
            _check_port(host, port, option)
        name = host if host not in EVERYWHERE else LOOPBACK
        found = Up(
            pid=os.getpid(), prefect=f"http://{name}:{prefect_port}", mlflow=f"http://{name}:{mlflow_port}"
        )
        use_prefect(home, found.prefect)
        names = [*_names(host), *names]
        _make_database(home)
        servers += [
            prefect(home, host, prefect_port, names),
            _mlflow(home, host, mlflow_port, names, found),
            _deployments(home, found, devices, reevaluate),
        ]
        for server in servers:
            server.log.unlink(missing_ok=True)
            server.start()
        for server in servers:
            server.wait()
        aside = home.up.with_suffix(".part")
        aside.write_text(found.model_dump_json())
        aside.replace(home.up)
        ready(found)
        keep(servers, threading.Event())  # until an interruption
    finally:
        home.up.unlink(missing_ok=True)
        for server in reversed(servers):
            server.stop()
        home.serving.unlink(missing_ok=True)
        lock.release()


def check(home: Home) -> dict[str, str | None]:
    """The address of each server that runs, or where its log is; None for one that does not run."""
    found = running(home)
    if found is None:
        return {"Prefect": None, "MLflow": None, "deployments": None}
    return {
        "Prefect": found.prefect if answers(f"{found.prefect}/api/health") else None,
        "MLflow": found.mlflow if answers(f"{found.mlflow}/health") else None,
        "deployments": str(_serving_log(home)) if _serving(home) else None,
    }


def _make_database(home: Home) -> None:
    """Makes MLflow's tables, which its server, if it is killed meanwhile, would leave half made."""
    if not home.database.exists():
        from percasym.tracking import LOCK, create_database

        home.locks.mkdir(parents=True, exist_ok=True)
        with FileLock(home.locks / LOCK):
            create_database(home.database)


def _mlflow(home: Home, host: str, port: int, names: Sequence[str], found: Up) -> Server:
    command = ["mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home.database}?timeout=60"]
    # Large files go straight to where they stay.
    command += ["--default-artifact-root", home.artifacts, "--no-serve-artifacts"]
    if host != LOOPBACK:  # on loopback it has the right ones by itself
        command += ["--allowed-hosts", ",".join(f"{name},{name}:*" for name in names)]
        command += ["--cors-allowed-origins", ",".join(f"*://{name},*://{name}:*" for name in names)]
    environment = {**mlflow_login(home), HOSTS: ",".join(names)}
    if logins.of_mlflow() in ("", logins.login(home)):
        command += ["--app-name", "percasym"]
    else:
        command += ["--app-name", "percasym-users"]
        environment |= _users(home, environment["MLFLOW_TRACKING_USERNAME"])
    return Server(
        "MLflow's server",
        command,
        home.root / "mlflow.log",
        lambda: answers(f"{found.mlflow}/health"),
        environment,
    )


def _users(home: Home, admin: str) -> dict[str, str]:
    """The environment in which MLflow's server has users of its own; `admin` gets our password."""
    password = os.environ["MLFLOW_TRACKING_PASSWORD"]
    if len(password) < MIN_PASSWORD:
        raise PercasymError(f"MLFLOW_TRACKING_PASSWORD: MLflow wants at least {MIN_PASSWORD} characters")
    if find_spec("flask_wtf") is None:
        raise PercasymError("a password for MLflow needs Flask-WTF: pip install 'percasym[team]'")
    settings, database = home.root / "mlflow-auth.ini", home.root / "mlflow-users.db"
    _make_user_database(database)
    users = str(database).replace("%", "%%")  # % begins a reference in such a file
    settings.write_text(AUTHENTICATION.format(database=users))
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_USERNAME": admin,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": os.urandom(32).hex(),
    }


def _make_user_database(database: Path) -> None:
    """As `_make_database`, for the users of MLflow's server."""
    if not database.exists():
        from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

        from percasym.tracking import create_database

        create_database(database, lambda address: SqlAlchemyStore().init_db(address))


AUTHENTICATION = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def _deployments(home: Home, found: Up, devices: int, reevaluate: str) -> Server:
    home.serving.unlink(missing_ok=True)
    command = ["flows.serving", "--devices", str(devices), "--reevaluate", reevaluate]
    return Server(
        "the process that runs the deployments",
        command,
        _serving_log(home),
        lambda: _serving(home),
        {"MLFLOW_TRACKING_URI": found.mlflow, **mlflow_login(home)},
    )


def _names(host: str) -> list[str]:
    """Names by which this machine is reached at that address."""
    if host == LOOPBACK:
        return list(LOCAL)
    if host not in EVERYWHERE:
        return [*LOCAL, host]
    addresses = (address for found in psutil.net_if_addrs().values() for address in found)
    return list(
        dict.fromkeys(
            [
                *LOCAL,
                platform.node(),
                *(address.address for address in addresses if address.family == socket.AF_INET),
            ]
        )
    )


def _serving(home: Home) -> bool:
    """Whether the process that wrote `home.serving` when it was ready is still there."""
    try:
        os.kill(int(home.serving.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _serving_log(home: Home) -> Path:
    return home.prefect / "serving.log"


def _check_port(host: str, port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PercasymError(
                f"{option} {port}: {(error.strerror or str(error)).lower()} on {host}; take another port"
            ) from None


def _runs_already(home: Home) -> str:
    found = running(home)
    where = f": Prefect at {found.prefect}, MLflow at {found.mlflow}" if found else ""
    return f"`percasym up` runs already in {home.root}{where}"
