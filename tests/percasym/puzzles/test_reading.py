"""The reader that all families share: what stands around a value goes, the value stays as it is."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.puzzles.reading import BAD, LONGEST, find, is_doubtful, parser, plain, read_json, read_value
from percasym.puzzles.reading.parser import DEEPEST, values
from percasym.puzzles.sudoku_reading import read_grid


def contents(text):
    return [value.content for value in values(plain(text))]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[[4, -, 1], ['a', \"b\"],]", [["4", "-", "1"], ["a", "b"]]),
        ("{0: a, '1': b}", {"0": "a", "1": "b"}),
        ("{(0, 1), (0, 5)}", [["0", "1"], ["0", "5"]]),
        ("{(0, 1): a}", {"0,1": "a"}),
        ("[1, // one\n 2, # two\n /* ] */ 3]", ["1", "2", "3"]),
        ("[1,,2]", ["1", "", "2"]),
        ("[[5 3 -]\n [6 - 1]]", [["5 3 -"], ["6 - 1"]]),
        ("([1, 2])", ["1", "2"]),
        ("array([[1]], dtype=int)", [["1"]]),
        ("[edge(0, 1)]", [["0", "1"]]),
        ("\\boxed{[1]}", ["1"]),
        ("\\{0, 1\\}", ["0", "1"]),
        ("“[‘a’, “—”]”", ["a", "-"]),
        ("［１，２］", ["1", "2"]),
        ('"[[\\"-\\", 5]]"', [["-", "5"]]),
        ('["a\\nb", "\\u2014"]', ["a\nb", "-"]),
        ("[don't, it's]", ["don't", "it's"]),
        ("{}", {}),
        ("()", []),
    ],
)
def test_a_value_in_any_notation_is_found(text, value):
    assert contents(text) == [value]
    assert contents(f"```python\nx = {text}\n```<|im_end|>") == [value]


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2",
        "[[1], [2]",
        "[1, 2)",
        "{a: 1, a: 2}",
        "{a:}",
        "{: 1}",
        "{a: 1, 2}",
        '["a, 1]',
        "[5 [1]]",
        "{a: b: 1}",
    ],
)
def test_what_is_not_well_made_stays_marked(text):
    assert BAD in json.dumps(contents(text), ensure_ascii=False)


@pytest.mark.parametrize(
    "text", ["[" * 50 + "]" * 50, "[" * (DEEPEST + 1) + "1" + "]" * (DEEPEST + 1), "{a:" * 99]
)
def test_brackets_deeper_than_any_puzzles_are_marked(text):
    assert BAD in json.dumps(contents(text), ensure_ascii=False)
    assert contents("[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1))


@given(
    st.recursive(
        st.text(alphabet="abz 019-", max_size=5).map(str.strip) | st.integers(-9, 99).map(str),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(alphabet="abc01", min_size=1), inner, min_size=1)
        ),
        max_leaves=15,
    ).filter(lambda value: not isinstance(value, str))
)
def test_json_is_read_as_json(value):
    assert (
        contents(json.dumps(value)) == [value]
        or len(str(value).split("[")) + len(str(value).split("{")) > DEEPEST
    )
    assert contents(f"so: {json.dumps(value)} and more") == contents(json.dumps(value))


@given(st.text() | st.text(alphabet="[](){}:,\"'\\/*#`~<|>$& \nab01-—é\u0301"))
def test_no_text_fails(text):
    found = find(plain(text))
    assert isinstance(found.rest, str)
    assert plain(text).isascii() or not text.isascii()
    read_json(text)
    assert read_value(text, lambda value: None) is None
    is_doubtful(text)


@pytest.mark.parametrize(
    "text", ["This is not it: [1]", "for example [1]", "wait, 3", "perhaps 4", "it isn't 5"]
)
def test_what_is_taken_back_is_doubtful(text):
    assert is_doubtful(find(text).rest)
    assert not is_doubtful("Nothing is wrong with that. Perhaps.")


def test_long_texts_are_neither_read_nor_kept():
    grid = json.dumps([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]])
    assert read_grid(grid + " " * (LONGEST - len(grid)), 4).whole
    assert not read_grid(grid + " " * (LONGEST - len(grid) + 1), 4).whole
    assert read_json("[" + " " * LONGEST + "]") is None
    assert read_value("x" + " " * LONGEST, str) is None
    tracemalloc.start()
    for number in range(300):
        read_grid(f"{number}" + grid + " " * (LONGEST // 2), 4)
        read_grid(f"{number}" + grid + " " * LONGEST, 4)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000


def test_a_text_is_read_once_while_it_is_remembered(monkeypatch):
    calls = []
    monkeypatch.setattr("percasym.puzzles.sudoku_reading.read", lambda text, *_: calls.append(text) or 1 / 0)
    for length in (100, 10_000):
        text = "no grid" + " " * length
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                read_grid(text, 4)
    assert len(calls) == 4  # what failed is not kept
    monkeypatch.undo()
    for length in (101, 10_001):
        text = "no grid" + " " * length
        first = read_grid(text, 4)
        assert read_grid(text, 4) is first


@pytest.mark.parametrize("symbol", ["[", "[[0,1],", "{0:", '["', "[/*", "(a b ", "] ", "'", '"a" [', "[\\"])
def test_work_grows_with_the_length_and_no_more(symbol, monkeypatch):
    """Counted in the characters of all tokens that the parser takes."""

    class Counting:
        characters = 0

        def match(self, text, position):
            found = token.match(text, position)
            Counting.characters += found.end() - position if found else 0
            return found

    token = parser._TOKEN
    monkeypatch.setattr(parser, "_TOKEN", Counting())
    text = plain(symbol * 5_000)
    values(text)
    assert Counting.characters <= len(text)
