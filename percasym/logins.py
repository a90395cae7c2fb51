"""Who may use the servers of a home folder: whoever can read one file in it, or what the environment says."""

import os
import secrets
from contextlib import suppress

from filelock import FileLock

from percasym.errors import PercasymError
from percasym.home import Home

USER = "percasym"
ADMIN = "admin"  # where the environment has a password for MLflow, and no user


def of_prefect() -> str:
    """USER:PASSWORD that the environment has for Prefect's server; "" if it has none."""
    return os.environ.get("PREFECT_SERVER_API_AUTH_STRING") or os.environ.get("PREFECT_API_AUTH_STRING") or ""


def of_mlflow() -> str:
    """USER:PASSWORD that the environment has for MLflow's server; "" if it has none."""
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    return f"{os.environ.get('MLFLOW_TRACKING_USERNAME') or ADMIN}:{password}" if password else ""


def kept(home: Home) -> str:
    """USER:PASSWORD that `home` keeps for servers of its own; "" if it keeps none.

    Raises:
        PercasymError: it is somebody else's.
    """
    try:
        found = home.login.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise PercasymError(
            f"{home.login} cannot be read ({error}): the servers of {home.root} are for whoever made it, or "
            "name another folder with --home"
        ) from None
    user, colon, password = found.partition(":")
    return found if user and colon and password and found.isprintable() else ""


def login(home: Home) -> str:
    """USER:PASSWORD that `home` keeps for servers of its own, made at the first call.

    Raises:
        PercasymError: it is somebody else's.
    """
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / "login.lock"):
        if found := kept(home):
            with suppress(OSError):
                home.login.chmod(0o600)
            return found
        made = f"{USER}:{secrets.token_urlsafe(32)}"
        aside = home.login.with_suffix(".part")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(made + "\n")
        aside.replace(home.login)
    return made
