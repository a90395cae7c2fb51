"""Prefect's result records of finished stages, read without Prefect."""

import json
from pathlib import Path
from typing import NamedTuple


class Kept(NamedTuple):
    """What a result record refers to."""

    run: str
    """MLflow run id."""
    uri: str
    """Where the run's artifact is."""


def read_record(path: Path) -> Kept | None:
    """What the record at `path` refers to; None if it is not the record of a stage, or is gone."""
    try:
        data = json.loads(json.loads(path.read_bytes())["result"])["data"]
        return Kept(str(data["run"]), str(data["uri"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def torn(path: Path) -> bool:
    """Whether the record at `path` is half written, as Prefect leaves it when it is killed at that moment."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return True
    except OSError:
        pass
    return False
