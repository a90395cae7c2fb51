import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.judgement import FIELDS, Score
from percasym.rewards import BEST, chosen, parse_reward

JUDGED = Score(True, 1.0, False, 0.75, False, True, True, 9, True, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("outcome", 1.0),
        ("format", 1.0),
        ("perception_aware:0.3", 0.7),
        ("perception_aware_partial:0.4", 0.4 * 0.75 + 0.6),
        ("0.9*a+0.1*format", 1.0),
        ("a_p_partial", 0.75),
        ("0.5*a_p + 0.25*a_partial", 0.25),
    ],
)
def test_a_reward_is_a_sum_of_fields(text: str, value: float) -> None:
    assert parse_reward(text)(JUDGED) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "fun", "a*0.5", "2**a", "outcome:1", "a+", "characters", "1e400*a", "..*a"),
        *("perception_aware", "perception_aware:1.5", "perception_aware:x"),
    ],
)
def test_what_is_no_reward_is_said_in_one_line(text: str) -> None:
    with pytest.raises(PercasymError) as error:
        parse_reward(text)
    assert "\n" not in str(error.value)


@given(st.text(alphabet="a_p0.5*+: formt", max_size=20))
def test_a_reward_is_read_or_refused(text: str) -> None:
    try:
        reward = parse_reward(text)
    except PercasymError:
        return
    assert reward.weights
    assert all(field in FIELDS for field, _ in reward.weights)


def test_best_is_a_surrogate_until_one_is_chosen() -> None:
    assert parse_reward("surrogate:best:0.25").surrogate == BEST
    assert chosen("surrogate:best:0.25", "my/own.py:wishes") == "surrogate:my/own.py:wishes:0.25"
    reward = parse_reward(chosen("surrogate:best:0.25", "teacher"))
    assert (reward.surrogate, reward(JUDGED, stand_in=0.5)) == ("teacher", 0.75 + 0.25 * 0.5)
