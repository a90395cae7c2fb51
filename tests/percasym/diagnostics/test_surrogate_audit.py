"""What stands in for a_p against a_p itself: by hand, and drawn where the truth is known."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.diagnostics.surrogate_audit import audit_surrogates, best_surrogate
from percasym.errors import PercasymError
from percasym.metrics import as_json


def rollout(a_p: int, **surrogates: float) -> dict[str, Any]:
    return {"a_p": bool(a_p), "surrogates": surrogates}


def groups_of(*captions: list[tuple[int, float]]) -> list[list[dict[str, Any]]]:
    return [[rollout(a_p, s=value) for a_p, value in group] for group in captions]


def test_false_positives_and_cost_by_hand() -> None:
    # The right captions get 0.2, 0.6 and 0.8; of the wrong ones two of four get at least 0.6.
    found = audit_surrogates(
        groups_of([(1, 0.2), (1, 0.6), (0, 0.6), (0, 0.1)], [(1, 0.8), (0, 0.9), (0, 0.5)]),
        {"s": 3.5},
        resamples=10,
    )
    assert found["surrogates"]["s"]["false_positives"] == 0.5
    assert found["surrogates"]["s"]["seconds"] == 0.5
    assert (found["groups"], found["rollouts"], found["right"]) == (2, 7, pytest.approx(3 / 7))


@pytest.mark.parametrize("a_p", [0, 1])
def test_where_captions_are_all_alike_nothing_can_be_ranked(a_p: int) -> None:
    found = audit_surrogates(groups_of([(a_p, 0.2), (a_p, 0.6)]), {"s": 1.0}, resamples=10)
    assert found["surrogates"]["s"] == {
        "pooled": None,
        "within": None,
        "false_positives": None,
        "seconds": 0.5,
    }
    with pytest.raises(PercasymError, match="cannot tell"):
        best_surrogate(found)


VALUE = st.floats(0, 1)
CAPTION = st.tuples(st.booleans(), VALUE, VALUE)


@given(st.lists(st.lists(CAPTION, min_size=2, max_size=5), min_size=1, max_size=6))
def test_a_perfect_surrogate_is_first_whatever_the_others(
    groups: list[list[tuple[bool, float, float]]],
) -> None:
    tables = [[rollout(a_p, one=x, perfect=a_p, other=y) for a_p, x, y in group] for group in groups]
    found = audit_surrogates(tables, {"one": 1, "perfect": 1, "other": 1}, resamples=0)
    figures = found["surrogates"]
    if figures["perfect"]["within"] is None:
        assert all(figure["within"] is None for figure in figures.values())
        assert list(figures) == ["one", "perfect", "other"]
    else:
        assert figures["perfect"]["within"].value == pytest.approx(1)
        assert figures["perfect"]["false_positives"] in (0, None)
        best = figures[best_surrogate(as_json(found))]["within"]
        assert best is not None
        assert best.value == pytest.approx(1)
        known = [f["within"].value for f in figures.values() if f["within"] is not None]
        assert known == sorted(known, reverse=True)


def draw(rng: np.random.Generator, items: int) -> list[list[dict[str, Any]]]:
    """A weak surrogate that knows how hard an item is better than it tells captions of one item apart."""
    drawn = []
    for _ in range(items):
        ease = rng.uniform(0.1, 0.9)
        right = rng.random(8) < ease
        values = 0.3 * right + 0.7 * rng.random(8)
        drawn.append(
            [rollout(a_p, perfect=a_p, weak=v, item=ease) for a_p, v in zip(right, values, strict=True)]
        )
    return drawn


def test_intervals_hold_the_truth_and_within_groups_is_what_ranks() -> None:
    rng = np.random.default_rng(1)
    seconds = {"item": 1.0, "weak": 1.0, "perfect": 1.0}
    found = audit_surrogates(draw(rng, 150), seconds)
    truth = audit_surrogates(draw(rng, 20_000), seconds, resamples=0)
    assert list(found["surrogates"]) == ["perfect", "weak", "item"]
    assert found["surrogates"]["item"]["within"] is None  # the same for all captions of an item
    for name, kind in (("weak", "pooled"), ("weak", "within"), ("item", "pooled")):
        estimate, true = found["surrogates"][name][kind], truth["surrogates"][name][kind]  # type: ignore[literal-required]
        assert estimate.low < true.value < estimate.high
        assert estimate.high - estimate.low < 0.2
    assert audit_surrogates(draw(np.random.default_rng(1), 150), seconds) == found


@pytest.mark.parametrize("groups", [[], [[]]])
def test_no_rollouts_are_an_error(groups: list[Any]) -> None:
    with pytest.raises(ValueError, match="no rollouts"):
        audit_surrogates(groups, {"s": 1.0})
