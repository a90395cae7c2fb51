"""What the programs `python -m MODULE CONFIG.json` have in common that print records as they work."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from transformers.utils import logging

from percasym.errors import PercasymError

Config = TypeVar("Config", bound=BaseModel)


def main(
    arguments: Sequence[str],
    module: str,
    kind: type[Config],
    run: Callable[[Config], Iterable[dict[str, Any]]],
) -> int:
    """Runs by the config in a file and prints each record as a line of JSON.

    Returns:
        The exit code: a mistake that the user can mend is one line on standard error, and 2.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        if len(arguments) != 1:
            raise PercasymError(f"usage: python -m {module} CONFIG.json")
        for record in run(_read(Path(arguments[0]), kind)):
            print(json.dumps(record), flush=True)
    except (PercasymError, OSError) as error:  # say, a full disk
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _read(path: Path, kind: type[Config]) -> Config:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PercasymError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise PercasymError(
            f"{path}: {place}: {problem['msg']}" if place else f"{path}: {problem['msg']}"
        ) from (error)
