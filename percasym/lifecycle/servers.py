"""Whether the servers that a home works with answer."""

import base64
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from urllib.parse import unquote, urlsplit

import psutil

from percasym import logins
from percasym.errors import PercasymError
from percasym.home import Home

ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Server:
    """A server, as it was found."""

    name: str
    address: str
    """Without secrets; "" where there is none."""
    answer: str
    """Its version; "" if it does not answer, "?" if it is no server that can be asked."""
    fault: str = ""


def masked(address: str) -> str:
    """An address without user, password and query, for people and logs."""
    return re.sub(r"//\S*@", "//***@", address.partition("?")[0])


def servers(home: Home) -> list[Server]:
    """Prefect's and MLflow's servers: those that the environment names, or else those of `percasym up`."""
    up = _up(home)
    prefect = os.environ.get("PREFECT_API_URL") or (f"{up['prefect']}/api" if "prefect" in up else "")
    mlflow = os.environ.get("MLFLOW_TRACKING_URI") or up.get("mlflow", "")
    own = _own(home, up)
    return [
        _ask(
            "Prefect",
            prefect,
            "/health",
            "/admin/version",
            logins.of_prefect() or own.get(prefect.removesuffix("/api"), ""),
            "PREFECT_API_AUTH_STRING=USER:PASSWORD",
        ),
        _ask(
            "MLflow",
            mlflow,
            "/health",
            "/version",
            logins.of_mlflow() or own.get(mlflow, ""),
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        ),
    ]


def abandoned(home: Home) -> bool:
    """Whether `percasym up` was killed and could not take back what it says of itself."""
    up = _up(home)
    return bool(up) and not psutil.pid_exists(int(up.get("pid") or 0))


def _up(home: Home) -> dict[str, str]:
    try:
        found = json.loads(home.up.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _own(home: Home, up: Mapping[str, str]) -> dict[str, str]:
    """The login that `home` keeps, by the addresses that may get it: those of `percasym up`."""
    if not up or abandoned(home):  # whoever listens there now may be anybody
        return {}
    try:
        login = logins.kept(home)
    except PercasymError:
        return {}
    return {address: login for name in ("prefect", "mlflow") if (address := up.get(name))}


def _ask(name: str, address: str, health: str, about: str, login: str, variables: str) -> Server:
    shown = masked(address)
    if not address:
        return Server(name, "", "")
    if urlsplit(address).scheme not in ("http", "https"):
        return Server(name, shown, "?")
    scheme, _, rest = address.rstrip("/").partition("://")
    within, _, place = rest.rpartition("@")
    base, login = f"{scheme}://{place}", login or unquote(within)
    try:
        _get(base + health, "")
        return Server(name, shown, _get(base + about, login).strip().strip('"'))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return Server(name, shown, "", f"it asks for a user and a password: set {variables}")
        return Server(name, shown, "", f"it answers with error {error.code}")
    except (OSError, ValueError, HTTPException) as error:  # which may quote the address, with its secrets
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or type(reason).__name__
        return Server(name, shown, "", f"no answer: {why}")


def _get(url: str, login: str) -> str:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
        return str(response.read(1000).decode(errors="replace"))


def differs(server: Server) -> bool:
    """Whether a server is of another version than the client that is installed here."""
    return server.answer not in ("", "?", version(server.name.lower()))
