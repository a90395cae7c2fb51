"""What is said to a user is one line."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError


@given(st.text(), st.text())
def test_a_message_is_one_line_whatever_names_it_quotes(name: str, other: str) -> None:
    said = str(PercasymError(f"there is no {name!s}, but {other}"))
    assert len(said.splitlines()) == 1
    assert said.startswith("there is no ")


def test_it_goes_from_process_to_process() -> None:
    assert str(pickle.loads(pickle.dumps(PercasymError("a\nb")))) == "a b"
