"""Random streams that depend on nothing but their names.

A stream is seeded by hashing what it is for, say ("sudoku", config, "test", 0, 17). So item 17 can be made
without items 0 to 16, is the same on every machine and in every process, and neighbouring seeds share
nothing.
"""

import hashlib
import json
import random
from typing import Any

import numpy as np


def digest(*parts: Any) -> str:
    """The SHA-256, as 64 hex digits, of `parts` written as canonical JSON (keys sorted, no spaces).

    Raises:
        TypeError: a part that JSON cannot write; a silent `repr` would change from process to process.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def stream(*parts: Any) -> random.Random:
    """A generator of random numbers of its own for `parts`."""
    return random.Random(int(digest(*parts), 16))


def numpy_stream(rng: random.Random) -> np.random.Generator:
    """A NumPy generator drawn from `rng`, for arrays of noise."""
    return np.random.Generator(np.random.Philox(rng.getrandbits(128)))
