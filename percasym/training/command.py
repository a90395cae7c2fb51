"""What the commands `python -m percasym.sft` and `python -m percasym.grpo` have in common."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from transformers.utils import logging

from percasym.errors import PercasymError
from percasym.training.config import TrainingConfig

Config = TypeVar("Config", bound=TrainingConfig)


def main(arguments: list[str], kind: type[Config], train: Callable[[Config], Any]) -> int:
    """Trains by the config in a file. A mistake that the user can mend is one line and exit code 2."""
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        if len(arguments) != 1:
            raise PercasymError(f"usage: python -m {kind.__module__.rpartition('.')[0]} CONFIG.json")
        train(_read(Path(arguments[0]), kind))
    except PercasymError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _read(path: Path, kind: type[Config]) -> Config:
    try:
        return kind.model_validate_json(path.read_text())
    except OSError as error:
        raise PercasymError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PercasymError(f"{path}: {place}: {first['msg']}") from error
