import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.diagnostics.association import association

OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=40)


@given(OUTCOMES)
def test_correlations_are_numpys(items):
    a, a_p, a_r = zip(*items, strict=True)
    found = association(a, a_p, a_r)
    for key, other in (("a_p", a_p), ("a_r", a_r)):
        if len(set(a)) == 1 or len(set(other)) == 1:
            assert found[key] is None
        else:
            assert found[key].value == pytest.approx(np.corrcoef(a, other)[0, 1])
            assert found[key].n == len(items)
            assert -1 - 1e-9 <= found[key].low <= found[key].high <= 1 + 1e-9


def test_interval_is_that_of_resampled_items():
    rng = np.random.default_rng(0)
    a_p, a_r = rng.random(300) < 0.5, rng.random(300) < 0.9
    a = a_p & a_r
    found = association(a, a_p, a_r)
    resampled = [
        np.corrcoef(a[chosen], a_p[chosen])[0, 1] for chosen in rng.integers(0, 300, size=(2000, 300))
    ]
    assert (found["a_p"].low, found["a_p"].high) == pytest.approx(
        np.quantile(resampled, [0.025, 0.975]), abs=0.02
    )
    assert found["difference"].value == pytest.approx(found["a_p"].value - found["a_r"].value)
    assert found["difference"].low > 0  # perception is the bottleneck, so the answer follows it


def test_given_counts_every_item_once():
    a, a_p, a_r = [True, True, False, True], [True, True, True, False], [True, True, False, True]
    cells = {
        (cell["a_p"], cell["a_r"]): (cell["right"], cell["n"]) for cell in association(a, a_p, a_r)["given"]
    }
    assert cells == {
        (False, False): (0, 0),
        (False, True): (1, 1),
        (True, False): (0, 1),
        (True, True): (2, 2),
    }


def test_same_outcomes_same_intervals():
    outcomes = (
        [True, False, True, True, False],
        [True, False, False, True, False],
        [True, True, False, True, True],
    )
    assert association(*outcomes) == association(*outcomes)
