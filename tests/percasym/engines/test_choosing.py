"""Sampling follows the distribution, keeps to the nucleus, and looks at one row alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.engines import Sampling
from percasym.engines.transformers import choose
from percasym.seeding import numpy_stream, stream

LOGITS = torch.tensor([2.0, 0.0, 1.0, -1.0, 1.5])


def generators(number: int) -> list[np.random.Generator]:
    return [numpy_stream(stream("test", index)) for index in range(number)]


def test_greedy_is_the_most_probable() -> None:
    assert choose(torch.stack([LOGITS, -LOGITS]), Sampling(), []).tolist() == [0, 3]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.85)])
def test_frequencies_are_the_probabilities(temperature: float, top_p: float) -> None:
    number = 20_000
    (generator,) = generators(1)
    sampling = Sampling(temperature, top_p)
    counts = torch.zeros(len(LOGITS))
    for _ in range(20):
        drawn = choose(LOGITS.expand(number // 20, -1), sampling, [generator] * (number // 20))
        counts += torch.bincount(drawn, minlength=len(LOGITS))
    expected = (LOGITS / temperature).softmax(-1)
    if top_p < 1:  # at temperature 2 the three best hold .80 and the four best .93
        expected[3] = 0
        expected /= expected.sum()
    assert counts[3] == 0 or top_p == 1
    errors = (expected * (1 - expected) / number).sqrt()
    assert ((counts / number - expected).abs() <= 4 * errors).all()


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=30), st.floats(0.05, 0.999), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_the_chosen_token_is_in_the_nucleus(values: list[float], top_p: float, seed: int) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    chosen = int(choose(logits[None], Sampling(1.0, top_p), [numpy_stream(stream("test", seed))]))
    probabilities = logits.softmax(-1)
    more_probable = probabilities[probabilities > probabilities[chosen] + 1e-12].sum()
    assert more_probable < top_p + 1e-9


def test_a_row_is_drawn_from_its_own_stream() -> None:
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    sampling = Sampling(temperature=1.0)
    together = choose(logits, sampling, generators(6))
    for row in (0, 3, 5):
        assert choose(logits[row : row + 1], sampling, [generators(6)[row]]).item() == together[row]
