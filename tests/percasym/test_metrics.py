import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from percasym.errors import PercasymError
from percasym.judgement import Score
from percasym.metrics import (
    CAUSES,
    Estimate,
    Mode,
    Row,
    as_json,
    bootstrap,
    cause,
    compare,
    mcnemar,
    paired_bootstrap,
    result_row,
    summarise,
    wilson,
    with_causes,
)


def row(id: str = "x", mode: Mode = "end_to_end", tokens: int | None = None, **fields: Any) -> Row:
    values = {
        "a": False, "a_partial": 0.0, "a_p": False, "a_p_partial": 0.0, "a_own": False,
        "format": True, "complete": True, "characters": 4, "caption_read": True, "answer_read": True,
    }  # fmt: skip
    return result_row(id, mode, "text", Score(**(values | fields)), tokens)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    share = wilson(successes, n)
    assert (share.value, share.n) == (successes / n, n)
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= share.low <= share.value <= share.high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, n)


def test_the_bootstrap_interval_is_that_of_plain_resampling() -> None:
    values = np.random.default_rng(5).beta(2, 1, size=150).round(2)
    found = bootstrap(values)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(6)
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert found.n == 150
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_bootstrap_interval_holds_its_mean(values: list[float]) -> None:
    found = bootstrap(values, seed=1)
    assert found.value == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found == bootstrap(values, seed=1)


def test_constant_values_have_no_width_and_no_values_no_mean() -> None:
    assert bootstrap([0.5] * 9)[:3] == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


def test_many_items_are_resampled_in_blocks() -> None:
    values = np.random.default_rng(0).random(3_000)
    found = bootstrap(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)


def test_the_paired_interval_knows_that_the_items_are_the_same() -> None:
    rng = np.random.default_rng(0)
    before = rng.random(200)
    after = before + 0.1 + 0.01 * rng.standard_normal(200)
    difference = paired_bootstrap(before, after)
    assert difference.value == pytest.approx((after - before).mean())
    assert 0.09 < difference.low < difference.value < difference.high < 0.11
    assert paired_bootstrap(after, before).value == pytest.approx(-difference.value)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_mcnemar_is_the_two_sided_sign_test_on_the_changed_items(pairs: list[tuple[bool, bool]]) -> None:
    gained = sum(not x and y for x, y in pairs)
    lost = sum(x and not y for x, y in pairs)
    tail = stats.binom.cdf(min(gained, lost), gained + lost, 0.5)
    assert mcnemar([x for x, _ in pairs], [y for _, y in pairs]) == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_on_a_known_table() -> None:
    x = [True] * 2 + [False] * 12 + [True] * 30
    y = [False] * 2 + [True] * 12 + [True] * 30
    assert mcnemar(x, y) == pytest.approx(2 * (1 + 14 + 91) / 2**14)


@pytest.mark.parametrize(
    ("fields", "oracle_right", "expected"),
    [
        ({"a": True, "a_p": True}, None, "right"),
        ({"a": True, "a_p": True}, False, "right"),
        ({"a": True, "a_p": False}, True, "lucky"),
        ({"a": True, "a_p": False, "complete": False}, True, "right"),  # no caption to be wrong
        ({"complete": False, "a_p": True}, True, "format"),
        ({"complete": False}, None, "format"),
        ({"format": False, "a_p": True}, True, "reasoning"),  # ill-formed, yet both parts are there
        ({"a_p": True}, True, "reasoning"),
        ({"a_p": True, "a_own": False}, None, "reasoning"),
        ({"a_own": False}, True, "perception"),
        ({"a_own": True}, False, "both"),
        ({"a_own": True}, None, "perception"),
        ({"a_own": False}, None, "both"),
    ],
)
def test_every_response_has_one_cause(
    fields: dict[str, bool], oracle_right: bool | None, expected: str
) -> None:
    assert cause(row(**fields), oracle_right) == expected


def test_causes_come_from_the_oracle_row_of_the_same_item() -> None:
    rows = with_causes(
        [row("x"), row("y"), row("z", a_own=True), row("x", "oracle", a=True), row("y", "oracle")]
    )
    assert [r["cause"] for r in rows] == ["perception", "both", "perception", None, None]


def test_an_oracle_row_says_nothing_of_the_models_own_caption() -> None:
    oracle = row(mode="oracle", a=True, a_partial=1.0, a_p=True, a_p_partial=1.0, a_own=True)
    assert (oracle["a"], oracle["a_p"], oracle["a_p_partial"], oracle["a_own"]) == (True, None, None, None)


def test_a_summary_counts_what_is_there() -> None:
    rows = [
        row("1", tokens=10, a=True, a_partial=1.0, a_p=True, a_p_partial=1.0, a_own=True),
        row("2", tokens=20, a=True, a_partial=1.0, a_p_partial=0.5),
        row("3", tokens=30, a_partial=0.5, a_p_partial=0.75, a_own=True),
        row("4", tokens=40, format=False, complete=False),
        row("1", "oracle", a=True, a_partial=1.0),
        row("2", "oracle", a=True, a_partial=1.0),
        row("3", "oracle", a=False, a_partial=0.5),
        row("4", "oracle", a=True, a_partial=1.0),
    ]
    summary = summarise(rows)
    assert summary["a"] == wilson(2, 4)
    assert summary["a_p"] == wilson(1, 4)
    assert summary["a_r"] == wilson(3, 4)
    assert summary["a_own"] == wilson(2, 4)
    assert summary["format"] == wilson(3, 4)
    assert summary["a_partial"].value == 0.625
    assert summary["a_p_partial"].value == 0.5625
    assert summary["a_r_partial"].value == 0.875
    assert summary["causes"] == {"perception": 0, "reasoning": 0, "both": 1, "format": 1}
    assert summary["lucky"] == 1
    assert summary["lengths"] == {
        "end_to_end": {"tokens": 25.0, "characters": 4.0},
        "oracle": {"tokens": None, "characters": 4.0},
    }


def test_without_oracle_rows_a_r_is_null() -> None:
    summary = json.loads(json.dumps(as_json(summarise([row(a=True, a_p=True)]))))
    assert summary["a_r"] is None
    assert summary["a_r_partial"] is None
    assert summary["lengths"]["oracle"] is None
    assert summary["a"] == wilson(1, 1)._asdict()


def test_no_rows_have_no_summary() -> None:
    with pytest.raises(PercasymError, match="no end-to-end"):
        summarise([row(mode="oracle")])


@given(st.data())
def test_the_causes_of_a_summary_are_those_of_its_wrong_answers(data: st.DataObject) -> None:
    flags = ["a", "a_p", "a_own", "complete"]
    n = data.draw(st.integers(1, 12))
    drawn = [{flag: data.draw(st.booleans()) for flag in flags} for _ in range(n)]
    rows = [row(str(i), **fields) for i, fields in enumerate(drawn)]
    summary = summarise(rows)
    assert set(summary["causes"]) == set(CAUSES)
    assert sum(summary["causes"].values()) == sum(not fields["a"] for fields in drawn)


def model(seed: int, n: int = 40, oracle: bool = True, first: int = 0) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for i in range(first, first + n):
        for mode in ("end_to_end", "oracle") if oracle else ("end_to_end",):
            a, a_p = rng.random() < 0.5, rng.random() < 0.5
            rows.append(row(str(i), mode, a=a, a_partial=float(a), a_p=a_p, a_p_partial=float(a_p)))
    rng.shuffle(rows)
    return rows


def test_a_comparison_pairs_the_items_whatever_their_order() -> None:
    before, after = model(1), model(2)
    comparison = compare(before, after)
    for figure, mode, column in [
        ("a", "end_to_end", "a"),
        ("a_p", "end_to_end", "a_p"),
        ("a_r", "oracle", "a"),
    ]:
        x, y = ({r["id"]: bool(r[column]) for r in rows if r["mode"] == mode} for rows in (before, after))
        found = comparison[figure]
        assert found["gained"] == sum(y[id] and not x[id] for id in x)
        assert found["lost"] == sum(x[id] and not y[id] for id in x)
        assert found["difference"].value == pytest.approx((found["gained"] - found["lost"]) / 40)
        assert found["p"] == mcnemar([x[id] for id in x], [y[id] for id in x])
    assert comparison["a_partial"]["difference"] == comparison["a"]["difference"]
    json.dumps(as_json(comparison), allow_nan=False)


def test_a_comparison_leaves_out_the_mode_that_one_model_lacks() -> None:
    comparison = compare(model(1, oracle=False), model(2))
    assert comparison["a_r"] is comparison["a_r_partial"] is None
    assert comparison["a"]["difference"].n == 40


def test_only_the_same_items_are_compared() -> None:
    with pytest.raises(
        PercasymError, match=r"only the same items can be compared: 2 ids have end_to_end .* '0'"
    ):
        compare(model(1), model(2, first=1))


def test_estimates_become_objects_at_any_depth() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 9)
    written = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    assert as_json({"x": {"y": estimate, "z": None}, "p": 1.0}) == {"x": {"y": written, "z": None}, "p": 1.0}
