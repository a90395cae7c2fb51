"""What a text chooses, with its arguments."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.extensions import Call, load_function, parse_call


@pytest.mark.parametrize(
    ("text", "name", "path", "values", "options"),
    [
        ("token_mean", "token_mean", "", (), {}),
        ("fixed:0.5", "fixed", "", (0.5,), {}),
        ("ngdiff:floor=0.05", "ngdiff", "", (), {"floor": 0.05}),
        ("a/own.py:Mine", "a/own.py:Mine", "a/own.py", (), {}),
        ("own.py:Mine:3:mode=soft", "own.py:Mine", "own.py", (3,), {"mode": "soft"}),
        ("own.py:Mine:1e-3:x=a=b", "own.py:Mine", "own.py", (1e-3,), {"x": "a=b"}),
        ("fixed:", "fixed", "", (), {}),
    ],
)
def test_a_text_is_taken_apart(text: str, name: str, path: str, values: object, options: object) -> None:
    found = parse_call(text)
    assert (found.name, found.path, found.values, found.options) == (name, path, values, options)


@given(st.text(max_size=40))
def test_any_text_can_be_taken_apart(text: str) -> None:
    assert isinstance(parse_call(text), Call)


def double(number: float, times: int = 2) -> float:
    return number * times


def test_arguments_are_handed_on_or_refused_by_name() -> None:
    assert parse_call("double:3").of(double) == 6
    assert parse_call("double:3:times=3").of(double) == 9
    with pytest.raises(PercasymError, match=r"missing a required argument: 'number'; double takes number: "):
        parse_call("double").of(double)
    with pytest.raises(PercasymError, match="unexpected keyword argument 'by'"):
        parse_call("double:3:by=4").of(double)
    with pytest.raises(PercasymError, match="ZeroDivisionError"):
        parse_call("half:0").of(lambda number: 1 / number)


def test_a_file_may_have_dataclasses_with_annotations_as_texts(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass, KW_ONLY\n"
        "@dataclass\nclass Limits:\n    _: KW_ONLY\n    most: int = 3\n"
        "def most(group):\n    return Limits().most\n"
    )
    assert load_function(f"{file}:most")(None) == 3
