"""`python -m percasym.sft CONFIG.json`, or `torchrun --nproc-per-node N -m percasym.sft CONFIG.json`.

The config is the JSON of `percasym.sft.config.SFTConfig`. Prints the lines of OUT/metrics.jsonl as they
come. A mistake that the user can mend is one line on standard error and exit code 2.
"""

import sys

from percasym import child
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import train


def main(arguments: list[str]) -> int:
    return child.main(arguments, "percasym.sft", SFTConfig, train)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
