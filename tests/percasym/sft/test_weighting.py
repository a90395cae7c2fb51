"""Each method against its paper's own formula, in vectors."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.sft.weighting import StepStatistics, parse_weighting
from percasym.sft.weighting.dwa import DynamicWeightAverage
from percasym.sft.weighting.ngdiff import NGDiff
from percasym.sft.weighting.pcgrad import PCGrad
from percasym.sft.weighting.token_mean import TokenMean
from percasym.sft.weighting.uncertainty import Uncertainty

COUNTS = st.integers(1, 10**6)
VECTORS = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).standard_normal((2, 5)))


def measured(g_p: np.ndarray, g_r: np.ndarray) -> StepStatistics:
    norms = {"norm_p": float(np.linalg.norm(g_p)), "norm_r": float(np.linalg.norm(g_r))}
    return StepStatistics(0, 10, 90, loss_p=1.0, loss_r=1.0, dot=float(g_p @ g_r), **norms)


@given(COUNTS, COUNTS)
def test_token_mean_counts_every_token_the_same(tokens_p: int, tokens_r: int) -> None:
    c_p, c_r = TokenMean().coefficients(StepStatistics(0, tokens_p, tokens_r))
    assert c_p / tokens_p == pytest.approx(c_r / tokens_r, rel=1e-9)
    assert c_p + c_r == 1


@given(VECTORS)
def test_ngdiff_is_the_step_of_imtl_g(gradients: np.ndarray) -> None:
    """IMTL-G (Liu et al., ICLR 2021, equation 6): alpha_2 = g_1 U^T (D U^T)^-1, with U and D of one row."""
    g_p, g_r = gradients
    difference_of_units = g_p / np.linalg.norm(g_p) - g_r / np.linalg.norm(g_r)
    alpha_r = (g_p @ difference_of_units) / ((g_p - g_r) @ difference_of_units)
    assert NGDiff(floor=0).coefficients(measured(g_p, g_r)) == pytest.approx((1 - alpha_r, alpha_r))


@given(VECTORS)
def test_ngdiff_has_equal_projections_on_both_unit_gradients(gradients: np.ndarray) -> None:
    g_p, g_r = gradients
    c_p, c_r = NGDiff(floor=0).coefficients(measured(g_p, g_r))
    update = c_p * g_p + c_r * g_r
    assert update @ g_p / np.linalg.norm(g_p) == pytest.approx(update @ g_r / np.linalg.norm(g_r))


@pytest.mark.parametrize(("norm_p", "lam"), [(1e-9, 0.9), (1e9, 0.1), (1.0, 0.5)])
def test_ngdiff_starves_neither(norm_p: float, lam: float) -> None:
    statistics = StepStatistics(0, 1, 1, norm_p=norm_p, norm_r=1.0, dot=0.0)
    assert NGDiff().coefficients(statistics) == pytest.approx((lam, 1 - lam))


def test_ngdiff_survives_two_gradients_of_nothing() -> None:
    assert NGDiff().coefficients(StepStatistics(0, 1, 1, norm_p=0.0, norm_r=0.0, dot=0.0)) == (0.5, 0.5)


@given(VECTORS)
def test_pcgrad_projects_conflicts_away(gradients: np.ndarray) -> None:
    """arXiv 2001.06782, algorithm 1, with two tasks and the mean for the sum."""
    projected = [
        g - min(0.0, g @ other) / (other @ other) * other for g, other in (gradients, gradients[::-1])
    ]
    c_p, c_r = PCGrad().coefficients(measured(*gradients))
    np.testing.assert_allclose(c_p * gradients[0] + c_r * gradients[1], sum(projected) / 2, atol=1e-12)


def test_dwa_follows_the_rates_of_two_windows() -> None:
    """arXiv 1803.10704, equation 7, with T = 2, divided by the number of tasks."""
    weighting = DynamicWeightAverage()
    means = [(4.0, 2.0), (3.0, 1.0)]
    for window, (loss_p, loss_r) in enumerate(means):
        for step in range(DynamicWeightAverage.WINDOW):
            statistics = StepStatistics(step, 10, 90, loss_p, loss_r)
            assert weighting.coefficients(statistics) == (0.5, 0.5), window
            weighting.observe(statistics)
    exponentials = torch.softmax(torch.tensor([3.0 / 4.0, 1.0 / 2.0], dtype=torch.float64) / 2, 0)
    assert weighting.coefficients(statistics) == pytest.approx(tuple(exponentials.tolist()))


def test_uncertainty_descends_on_the_papers_loss_and_rests_at_its_minimum() -> None:
    weighting, losses = Uncertainty(), torch.tensor([0.3, 2.0], dtype=torch.float64)
    statistics = StepStatistics(0, 10, 90, *losses.tolist())
    s = torch.tensor(weighting.log_variance, dtype=torch.float64, requires_grad=True)
    (losses / (2 * s.exp()) + s / 2).sum().backward()
    assert s.grad is not None
    weighting.observe(statistics)
    assert weighting.log_variance == pytest.approx((-Uncertainty.RATE * s.grad).tolist())
    for _ in range(2000):
        weighting.observe(statistics)
    assert weighting.coefficients(statistics) == pytest.approx((1 / 0.6, 1 / 4.0))


@pytest.mark.parametrize("name", ["token_mean", "fixed:0.3", "ngdiff", "dwa", "uncertainty", "pcgrad"])
def test_state_survives_a_restart(name: str) -> None:
    old, new = parse_weighting(name), parse_weighting(name)
    statistics = [StepStatistics(i, 10, 90, 1 / (i + 1), 1.0, 2.0, 3.0, -1.0) for i in range(90)]
    for s in statistics[:50]:
        old.observe(s)
    new.load_state_dict(old.state_dict())
    for s in statistics[50:]:
        assert old.coefficients(s) == new.coefficients(s)
        old.observe(s)
        new.observe(s)


def test_names_carry_their_number() -> None:
    statistics = StepStatistics(0, 10, 90, norm_p=1e-9, norm_r=1.0, dot=0.0)
    assert parse_weighting("fixed:0.3").coefficients(statistics) == (0.3, 0.7)
    assert parse_weighting("ngdiff:0.2").coefficients(statistics) == (0.8, pytest.approx(0.2))


def test_a_users_own_method_is_one_class_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from percasym.sft.weighting import Weighting\n"
        "class Shrinking(Weighting):\n"
        "    def coefficients(self, statistics):\n"
        "        return 1 / (1 + statistics.step), 1.0\n"
    )
    assert parse_weighting(f"{file}:Shrinking").coefficients(StepStatistics(3, 1, 1)) == (0.25, 1.0)
    with pytest.raises(PercasymError, match="no class 'Growing'"):
        parse_weighting(f"{file}:Growing")
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    with pytest.raises(PercasymError, match="does not run: ZeroDivisionError"):
        parse_weighting(f"{broken}:Shrinking")
    with pytest.raises(PercasymError, match="there is no file"):
        parse_weighting(f"{tmp_path / 'other.py'}:Shrinking")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "fixed",
        "fixed:",
        "fixed:x",
        "fixed:1.5",
        "fixed:nan",
        "ngdiff:0.7",
        "dwa:2",
        "pcgrad:x",
    ],
)
def test_what_is_no_weighting_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PercasymError) as caught:
        parse_weighting(text)
    assert "\n" not in str(caught.value)


def test_infinite_rates_leave_dwa_finite() -> None:
    weighting = DynamicWeightAverage()
    weighting.finished = [[1e-300, 1.0], [1.0, 0.0]]
    assert all(math.isfinite(c) for c in weighting.coefficients(StepStatistics(0, 1, 1)))
    weighting.finished = [[1.0, 1e-300], [0.0, 1.0]]
    assert all(math.isfinite(c) for c in weighting.coefficients(StepStatistics(0, 1, 1)))
