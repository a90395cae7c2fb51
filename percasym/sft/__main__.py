"""`python -m percasym.sft CONFIG.json`, or `torchrun --nproc-per-node N -m percasym.sft CONFIG.json`.

The config is the JSON of `percasym.sft.config.SFTConfig`. Prints the lines of OUT/metrics.jsonl as they
come. A mistake that the user can mend is one line on standard error and exit code 2.
"""

import sys
import warnings
from pathlib import Path

from pydantic import ValidationError
from transformers.utils import logging

from percasym.errors import PercasymError
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import train


def main(arguments: list[str]) -> int:
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        train(read_config(arguments))
    except PercasymError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def read_config(arguments: list[str]) -> SFTConfig:
    if len(arguments) != 1:
        raise PercasymError("usage: python -m percasym.sft CONFIG.json")
    path = Path(arguments[0])
    try:
        return SFTConfig.model_validate_json(path.read_text())
    except OSError as error:
        raise PercasymError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PercasymError(f"{path}: {place}: {first['msg']}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
