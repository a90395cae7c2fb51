"""What was paid for is read again, whatever has happened to the file since."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.journal import Journal

VALUES = [["key", "text é \u2028\n", 7, "stop"], {"id": "x", "text": "half \ud83d"}, "text", None, [1, [2]]]


def filled(path: Path, values: list[object] = VALUES) -> bytes:
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for value in values:
            journal.add(value)
    return path.read_bytes()


def read(path: Path) -> list[object]:
    with Journal(path) as journal:
        return journal.values


def test_values_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    whole = filled(path)
    assert read(path) == VALUES
    assert whole.count(b"\n") == len(VALUES)
    assert path.read_bytes() == whole


def test_a_torn_line_is_left_out_and_the_next_one_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = filled(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path) as journal:
            before = list(journal.values)
            assert before == VALUES[: len(before)]
            journal.add("more")
        assert read(path) == [*before, "more"]


def test_a_bad_line_says_nothing_about_the_others(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for bad in (b"\xff\xfe", b"", b"{}", b"[]", b"[1, 2]", b'["x"', b"[" * 100_000, b"null", b"\0" * 100):
        path.write_bytes(filled(path, ["first"]) + bad + b"\n" + filled(path, ["last"]))
        assert read(path) == ["first", "last"]


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole, rng = filled(path), random.Random(0)
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert all(value in VALUES for value in read(path)), flipped


@given(st.lists(st.text() | st.lists(st.integers() | st.text())))
def test_whatever_json_can_hold(tmp_path_factory: pytest.TempPathFactory, values: list[object]) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    filled(path, values)
    assert read(path) == values


def test_lines_of_before_there_were_codes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps(["key", "text", 7, "stop"]) + "\n")
    assert read(path) == [["key", "text", 7, "stop"]]
