"""`python -m percasym.grpo CONFIG.json`: the config is the JSON of `percasym.grpo.config.GRPOConfig`.

Prints the lines of OUT/metrics.jsonl as they come. A mistake that the user can mend is one line on standard
error and exit code 2.
"""

import sys

from percasym import child
from percasym.grpo.config import GRPOConfig
from percasym.grpo.trainer import train


def main(arguments: list[str]) -> int:
    return child.main(arguments, "percasym.grpo", GRPOConfig, train)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
