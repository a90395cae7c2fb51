"""When a model is said to have become worse, and when not."""

import random

import pytest

from percasym.errors import PercasymError
from percasym.metrics import Row
from percasym.regression import changes, gaps


def rows(seed: object, n: int = 200, **shares: float) -> list[Row]:
    """Both responses to n items, each right by chance with its share."""
    rng = random.Random(str(seed))
    found = []
    for number in range(n):
        a, a_p, a_r = (rng.random() < shares.get(figure, 0.4) for figure in ("a", "a_p", "a_r"))
        for mode, right in (("end_to_end", a), ("oracle", a_r)):
            own = mode == "end_to_end"
            found.append(
                Row(
                    id=str(number),
                    mode=mode,  # type: ignore[typeddict-item]
                    text="",
                    a=right,
                    a_partial=float(right),
                    a_p=a_p if own else None,
                    a_p_partial=float(a_p) if own else None,
                    a_own=right if own else None,
                    format=True,
                    complete=True,
                    caption_read=own or None,
                    answer_read=True,
                    cause=None,
                    tokens=None,
                    finish_reason=None,
                )
            )
    return found


def alarms(repetitions: int) -> int:
    """Of so many re-evaluations of a model that samples its responses and has not changed."""
    return sum(
        any(change.fell for change in changes(rows(("before", i)), rows(("now", i)), 0.05))
        for i in range(repetitions)
    )


def test_nothing_is_reported_when_nothing_changed() -> None:
    assert not any(change.fell for change in changes(rows(0), rows(0), 0))  # greedy: the same responses
    assert alarms(20) <= 1
    assert alarms(300) <= 0.05 * 300


def test_a_fall_is_found_in_the_figure_that_fell() -> None:
    found = changes(rows(1, a=0.5, a_p=0.5), rows(2, a=0.5, a_p=0.3), 0.05)
    assert {change.figure for change in found if change.fell} == {"a_p"}


@pytest.mark.parametrize(("a", "margin"), [(0.3, 0.5), (0.7, 0.05)])
def test_a_small_fall_and_a_rise_are_none(a: float, margin: float) -> None:
    assert not any(change.fell for change in changes(rows(1, a=0.5), rows(2, a=a), margin))


def test_items_known_by_heart() -> None:
    found = {gap.figure: gap for gap in gaps(rows(1, a=0.8), rows(2, a=0.5), 0.05)}
    assert found["a"].memorised
    assert found["a"].fixed - found["a"].fresh == pytest.approx(0.3, abs=0.1)
    assert not found["a_p"].memorised
    assert not any(gap.memorised for gap in gaps(rows(1, a=0.5), rows(2, a=0.8), 0.05))


def test_without_oracle_responses_there_is_no_a_r() -> None:
    own = [row for row in rows(0) if row["mode"] == "end_to_end"]
    assert [change.figure for change in changes(own, own, 0)] == ["a", "a_p"]
    assert [gap.figure for gap in gaps(own, own, 0)] == ["a", "a_p"]


def test_other_items_are_one_line() -> None:
    with pytest.raises(PercasymError, match="only the same items"):
        changes(rows(0), rows(0, n=10), 0)
