"""How arms and rewards are called where people read."""

import pytest

from tasks.records import label


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token_mean", "token mean"),
        ("fixed:0.5", "λ = 0.5"),
        ("outcome", "GRPO, outcome"),
        ("perception_aware:0.5", "GRPO, α = 0.5"),
        ("perception_aware_partial:0.3", "GRPO, partial credit, α = 0.3"),
        ("surrogate:agreement:0.5", "GRPO, surrogate agreement, α = 0.5"),
        ("surrogate:my/own.py:wishes:0.5", "GRPO, surrogate own.py:wishes, α = 0.5"),
        ("surrogate:best:0.5", "GRPO, best surrogate: teacher, α = 0.5"),
        ("0.9*a+0.1*format", "0.9*a+0.1*format"),
    ],
)
def test_labels(name: str, expected: str) -> None:
    assert label(name, "teacher") == expected


def test_best_before_anybody_knows_which() -> None:
    assert label("surrogate:best:0.5") == "GRPO, best surrogate, α = 0.5"
