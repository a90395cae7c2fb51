"""What the programs `python -m MODULE CONFIG.json` have in common, which others start and listen to."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from transformers.utils import logging

from percasym.errors import PercasymError

Config = TypeVar("Config", bound=BaseModel)


def main(arguments: Sequence[str], module: str, kind: type[Config], run: Callable[[Config], object]) -> int:
    """Runs by the config in a file; if that is an iterator, prints each record of it as a line of JSON.

    Returns:
        The exit code: a mistake that the user can mend is one line on standard error, and 2.
    """
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        if len(arguments) != 1:
            raise PercasymError(f"usage: python -m {module} CONFIG.json")
        records = run(read_config(Path(arguments[0]), kind))
        if isinstance(records, Iterator):
            for record in records:
                print(json.dumps(record), flush=True)
    except (PercasymError, OSError) as error:  # say, a full disk
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read_config(path: Path, kind: type[Config]) -> Config:
    """The config in a JSON file.

    Raises:
        PercasymError: there is no such file, or it is not JSON, or a setting is wrong.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PercasymError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise PercasymError(
            f"{path}: {place}: {problem['msg']}" if place else f"{path}: {problem['msg']}"
        ) from error
