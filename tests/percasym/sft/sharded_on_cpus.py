"""`python -m percasym.sft` with the model sharded by FSDP2 as on GPUs, but over gloo: for test_ranks.py."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from percasym.sft.__main__ import main
from percasym.training import run
from percasym.training.distributed import Ranks, connected


@contextmanager
def sharded() -> Iterator[Ranks]:
    with connected() as ranks:
        yield replace(ranks, sharded=True)


run.connected = sharded
sys.exit(main(sys.argv[1:]))
