import pytest

from percasym.diagnostics.records import TrainingLog
from percasym.diagnostics.shares import shares


def line(step, **changed):
    return {
        "step": step,
        "token_share": 0.05,
        "loss_share": 0.02,
        "grad_norm_p": 3.0,
        "grad_norm_r": 1.0,
        "lam": 0.25,
    } | changed


def test_gradient_share_weighs_the_norms():
    found = shares(TrainingLog([line(0), line(1, lam=0.5)], []))
    assert found["gradient"]["values"] == pytest.approx([0.5, 0.75])
    assert found["steps"] == [0, 1]


def test_late_is_the_last_quarter():
    found = shares(TrainingLog([line(step, loss_share=step / 10) for step in range(8)], []))
    assert found["loss"]["late"] == pytest.approx((0.6 + 0.7) / 2)
    assert found["loss"]["mean"] == pytest.approx(0.35)


def test_what_was_not_logged_is_none():
    found = shares(TrainingLog([line(0, grad_norm_p=None, loss_share=None), line(1)], []))
    assert found["gradient"]["values"] == [None, pytest.approx(0.5)]
    assert found["loss"] == {"values": [None, 0.02], "mean": 0.02, "late": 0.02}


def test_no_gradient_at_all_has_no_share():
    found = shares(TrainingLog([line(0, grad_norm_p=0.0, grad_norm_r=0.0)], []))
    assert found["gradient"] == {"values": [None], "mean": None, "late": None}


def test_an_empty_log_has_no_shares():
    assert shares(TrainingLog([], [])) is None
