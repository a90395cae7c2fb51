"""Correlations of an outcome over groups of rollouts, against NumPy's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.diagnostics.coupling import coupling, coupling_over_steps, read_groups
from percasym.errors import PercasymError

ROLLOUT = st.fixed_dictionaries({"a": st.booleans(), "a_p": st.booleans(), "a_own": st.booleans()})
GROUPS = st.lists(st.lists(ROLLOUT, min_size=2, max_size=5), min_size=1, max_size=8)


def pearson(a: np.ndarray, x: np.ndarray) -> float | None:
    if np.ptp(a) < 1e-9 or np.ptp(x) < 1e-9:
        return None
    return float(np.corrcoef(a, x)[0, 1])


@given(GROUPS)
def test_correlations_are_numpys(groups: list[list[dict[str, bool]]]) -> None:
    found = coupling(groups, resamples=0)
    flat = {key: np.array([r[key] for g in groups for r in g], float) for key in ("a", "a_p", "a_own")}
    sizes = [len(group) for group in groups]
    starts = np.cumsum([0, *sizes[:-1]])
    centred = {
        key: values - np.repeat(np.add.reduceat(values, starts) / sizes, sizes)
        for key, values in flat.items()
    }
    for skill in ("a_p", "a_own"):
        for kind, values in (("pooled", flat), ("within", centred)):
            estimate = found[skill][kind]  # type: ignore[literal-required]
            expected = pearson(values["a"], values[skill])
            if expected is None:
                assert estimate is None
            else:
                assert estimate.value == pytest.approx(expected, abs=1e-9)
    assert found["rollouts"] == sum(sizes)


def draw(rng: np.random.Generator, seen: float, solved: float) -> dict[str, Any]:
    a_p, a_own = rng.random() < seen, rng.random() < solved
    return {"a": a_p and a_own, "a_p": a_p, "a_own": a_own}


def test_the_interval_covers_and_the_same_rollouts_give_it_again() -> None:
    rng = np.random.default_rng(0)
    groups = [[draw(rng, 0.7, 0.5) for _ in range(8)] for _ in range(200)]
    found = coupling(groups)
    truth = [draw(rng, 0.7, 0.5) for _ in range(200_000)]
    for skill in ("a_p", "a_own"):
        r = np.corrcoef([t["a"] for t in truth], [t[skill] for t in truth])[0, 1]
        estimate = found[skill]["pooled"]
        assert estimate is not None
        assert estimate.low < r < estimate.high
        assert estimate.high - estimate.low < 0.15
    assert coupling(groups) == found


def test_shares() -> None:
    def rollout(a: int, a_p: int) -> dict[str, int]:
        return {"a": a, "a_p": a_p, "a_own": a}

    found = coupling([[rollout(1, 0), rollout(1, 1)], [rollout(0, 1), rollout(1, 1)]], resamples=10)
    assert found["no_spread"] == 0.5
    assert found["lucky"] == pytest.approx(1 / 3)
    assert found["unlucky"] == pytest.approx(1 / 3)
    nothing = coupling([[rollout(0, 0), rollout(0, 0)]], resamples=10)
    assert nothing["lucky"] is None
    assert nothing["a_p"] == {"pooled": None, "within": None}


@pytest.mark.parametrize("groups", [[], [[]]])
def test_no_rollouts_are_an_error(groups: list[Any]) -> None:
    with pytest.raises(ValueError, match="no rollouts"):
        coupling(groups)


def line(step: int, item: str, a: int, a_p: int) -> str:
    return json.dumps({"step": step, "id": item, "a": a, "a_p": a_p, "a_own": a, "response": "x"}) + "\n"


def test_a_training_is_read_and_cut_into_windows(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text(
        "".join(line(step, item, step % 2, i) for step in range(1, 13) for item in "xy" for i in (0, 1))
    )
    groups = read_groups(path)
    assert list(groups) == list(range(1, 13))
    assert all(len(of_step) == 2 and len(of_step[0]) == 2 for of_step in groups.values())
    windows = coupling_over_steps(groups)
    assert [(w["first"], w["last"]) for w in windows] == [(1, 3), (4, 6), (7, 8), (9, 10), (11, 12)]
    assert windows[0]["coupling"]["groups"] == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no rollouts"), ("{", "line 1"), ('{"id": "x", "a": 1}\n', "a_p"), ("[]", "line 1")],
)
def test_what_is_no_file_of_rollouts_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text(text)
    with pytest.raises(PercasymError, match=words):
        read_groups(path)
    with pytest.raises(PercasymError, match="cannot read"):
        read_groups(tmp_path / "nowhere.jsonl")
