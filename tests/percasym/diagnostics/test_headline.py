import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.diagnostics.headline import headline, holm


def share(value, low=None, high=None):
    return {
        "value": value,
        "low": value if low is None else low,
        "high": value if high is None else high,
        "n": 400,
    }


def model(kind, label, gap=None, growth=None):
    figures = {"a": share(0.3), "a_p": share(0.4), "a_r": share(0.8)}
    return {"kind": kind, "label": label, "summary": figures, "gap": gap, "gap_growth": growth}


def change(value, low, high, p):
    return {"difference": share(value, low, high), "p": p}


def study(growth=None, **arms):
    """A base, the token mean, and further arms with (change of a, low, high, p) against it."""
    up = {
        "a": change(0.2, 0.1, 0.3, 1e-9),
        "a_p": change(0.1, 0.05, 0.15, 1e-6),
        "a_r": change(0.3, 0.2, 0.4, 1e-9),
    }
    models = {"base": model("base", "base"), "token_mean": model("sft", "token mean", growth=growth)}
    comparisons = {"token_mean": {"base": up}}
    for name, test in arms.items():
        models[name] = model("sft", name.upper())
        comparisons[name] = {"base": up, "token_mean": {"a": change(*test)}}
    return {"models": models, "comparisons": comparisons}


def test_growth_beyond_its_interval_is_claimed():
    text = headline(study(growth=share(0.2, 0.1, 0.3)))
    assert text.startswith(
        "Token mean changed reasoning (a_r) by +30.0 points and perception (a_p) by +10.0: "
        "relative to perception, reasoning moved ahead by +20.0 points (95 %: +10.0 to +30.0)."
    )


def test_growth_within_its_interval_is_no_finding():
    text = headline(study(growth=share(0.2, -0.01, 0.41)))
    assert "no significant difference between the two changes, +20.0 points (95 %: −1.0 to +41.0)" in text
    assert "ahead" not in text


def test_perception_ahead_is_said_with_its_sign_turned():
    text = headline(study(growth=share(-0.2, -0.3, -0.1)))
    assert "relative to reasoning, perception moved ahead by +20.0 points (95 %: +10.0 to +30.0)" in text


def test_a_gain_that_holds_is_claimed():
    text = headline(study(ngdiff=(0.06, 0.02, 0.1, 0.004)))
    assert "against token mean: higher with NGDIFF, +6.0 points (95 %: +2.0 to +10.0), p = 0.004." in text
    assert "no significant" not in text


def test_a_loss_is_said_too():
    assert "lower with NGDIFF, −6.0 points" in headline(study(ngdiff=(-0.06, -0.1, -0.02, 0.004)))


@pytest.mark.parametrize(
    "test",
    [(0.06, -0.001, 0.12, 0.04), (0.06, 0.001, 0.12, 0.06), (0.0, 0.0, 0.0, 1.0)],
    ids=["interval", "p", "none"],
)
def test_interval_and_test_must_both_say_so(test):
    text = headline(study(ngdiff=test))
    assert "no significant difference with NGDIFF" in text
    assert "higher" not in text


def test_several_arms_are_corrected_for():
    alone, three = (0.06, 0.01, 0.11, 0.02), (0.0, -0.05, 0.05, 0.9)
    assert "higher with NGDIFF" in headline(study(ngdiff=alone))
    assert "higher" not in headline(study(ngdiff=alone, dwa=three, pcgrad=three))


def test_many_arms_without_a_finding_are_counted():
    nothing = (0.0, -0.05, 0.05, 0.9)
    text = headline(study(**{f"arm{number}": nothing for number in range(7)}, ngdiff=(0.2, 0.1, 0.3, 1e-9)))
    assert "higher with NGDIFF" in text
    assert "no significant difference with 7 of 8 arms" in text


def test_the_token_mean_alone_is_held_against_the_base():
    assert "End-to-end accuracy against base: higher with token mean, +20.0 points" in headline(study())


def test_one_model_alone():
    gap = share(0.4, 0.3, 0.5)
    text = headline({"models": {"base": model("base", "base", gap=gap)}, "comparisons": {}})
    assert "reasoning (a_r) is ahead of perception (a_p) by +40.0 points (95 %: +30.0 to +50.0)." in text
    unclear = headline(
        {"models": {"base": model("base", "base", gap=share(0.4, -0.1, 0.9))}, "comparisons": {}}
    )
    assert "no significant difference between reasoning (a_r) and perception (a_p)" in unclear


def test_without_the_oracle_nothing_is_said_of_reasoning():
    text = headline({"models": {"base": model("base", "base")}, "comparisons": {}})
    assert "reasoning" not in text


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_plain_and_bonferronis(p_values):
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p <= adjusted <= min(1.0, p * len(p_values)) + 1e-12


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
