import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym.errors import PercasymError
from percasym.puzzles import Credit, load_puzzle
from percasym.puzzles.sudoku import Sudoku, cell_names

SIZES = [(2, 2), (2, 3), (3, 2), (2, 4), (3, 3)]
FORMATS = ["json", "cells"]
# A row of the released data set xqwu/asymmetric-VLM__sudoku, as it stands there.
RELEASED = (
    "[[0, 4, 6, 2, 0, 9, 3, 8, 1], [0, 9, 3, 5, 8, 4, 0, 0, 6], [2, 7, 8, 1, 3, 6, 4, 0, 5], "
    "[0, 8, 7, 4, 1, 5, 2, 6, 3], [6, 0, 2, 3, 9, 8, 1, 4, 0], [3, 1, 4, 0, 2, 0, 0, 5, 9], "
    "[0, 0, 9, 8, 4, 1, 5, 3, 2], [8, 2, 5, 7, 6, 0, 0, 1, 4], [4, 3, 1, 9, 5, 2, 6, 7, 8]]"
)


def puzzle_of(rows, cols, text="json", **config):
    return load_puzzle("sudoku", {"rows": rows, "cols": cols, "text": text, **config})


def item_of(puzzle, index=0):
    return puzzle.item("test", 0, index).instance


def test_the_released_row_is_read_and_written_byte_by_byte_and_scored():
    puzzle = puzzle_of(3, 3)
    sudoku = puzzle.read_ground_truth(RELEASED)
    assert puzzle.ground_truth(sudoku) == RELEASED
    assert puzzle.perception(sudoku).startswith('[["-", 4, 6, 2, "-", 9, 3, 8, 1], ["-", 9,')
    answer = json.loads(puzzle.answer(sudoku))
    assert puzzle.score_answer(sudoku, json.dumps(answer)) == Credit(True, 1.0)
    answer[0][0], answer[0][4] = answer[0][4], answer[0][0]
    credit = puzzle.score_answer(sudoku, json.dumps(answer))
    assert not credit.exact
    assert credit.partial == pytest.approx(14 / 16)
    assert puzzle.score_perception(sudoku, puzzle.perception(sudoku)) == Credit(True, 1.0)


@pytest.mark.parametrize(("rows", "cols"), SIZES)
@pytest.mark.parametrize("text", FORMATS)
def test_what_is_written_is_read_back_in_either_format(rows, cols, text):
    writer, reader = puzzle_of(rows, cols, text), puzzle_of(rows, cols)
    for index in range(3):
        sudoku = item_of(writer, index)
        assert reader.read_ground_truth(writer.ground_truth(sudoku)) == sudoku
        assert reader.read_perception(writer.perception(sudoku), sudoku) == sudoku
        assert reader.score_perception(sudoku, writer.perception(sudoku)) == Credit(True, 1.0)
        assert reader.score_answer(sudoku, writer.answer(sudoku)) == Credit(True, 1.0)


def test_layout_and_order_of_a_text_do_not_matter():
    puzzle = puzzle_of(2, 2, "cells")
    sudoku = item_of(puzzle)
    words = puzzle.perception(sudoku).split()
    pairs = list(zip(words[::2], words[1::2], strict=True))
    random.Random(0).shuffle(pairs)
    shuffled = "\n ".join(f"{cell}\t{digit}" for cell, digit in pairs)
    assert puzzle.read_perception(shuffled, sudoku) == sudoku
    rows = [[digit or "-" for digit in row] for row in sudoku.grid]
    for text in (
        json.dumps(rows, indent=2),
        f"```json\n{json.dumps(rows)}\n```",
        f"  {puzzle.ground_truth(sudoku)}\n",
    ):
        assert puzzle.read_perception(text, sudoku) == sudoku


@pytest.mark.parametrize("text", FORMATS)
def test_partial_credit_counts_cells_and_blanks(text):
    puzzle = puzzle_of(2, 2, text)
    sudoku = item_of(puzzle)
    grid = [list(row) for row in sudoku.grid]
    grid[1][2] = grid[1][2] % 4 + 1  # one cell misread
    described = Sudoku(2, 2, tuple(map(tuple, grid)))
    caption = puzzle.perception(described)
    assert puzzle.read_perception(caption, sudoku) == described
    assert puzzle.score_perception(sudoku, caption) == Credit(False, 15 / 16)
    solution = [list(row) for row in puzzle.solve(sudoku)]
    row, column = next((r, c) for r in range(4) for c in range(4) if not sudoku.grid[r][c])
    solution[row][column] = solution[row][column] % 4 + 1
    wrong = puzzle.perception(Sudoku(2, 2, tuple(map(tuple, solution))))
    blanks = sudoku.cells.count(0)
    assert puzzle.score_answer(sudoku, wrong) == Credit(False, (blanks - 1) / blanks)


def test_a_broken_caption_keeps_the_credit_of_what_can_be_read():
    puzzle = puzzle_of(2, 2, "cells")
    sudoku = item_of(puzzle)
    words = puzzle.perception(sudoku).split()
    cases = {
        " ".join(words[:-2]): 15 / 16,
        " ".join([*words, "a1", "4"]): 1.0,  # the first mention of a cell counts
        " ".join(["x", *words]): 1.0,
        "": 0.0,
    }
    for caption, partial in cases.items():
        assert puzzle.read_perception(caption, sudoku) is None
        assert puzzle.score_perception(sudoku, caption) == Credit(False, partial)
    rows = [list(row) for row in sudoku.grid]
    assert puzzle.score_perception(sudoku, json.dumps(rows[:3])) == Credit(False, 12 / 16)
    assert puzzle.read_perception(json.dumps([*rows, rows[0]]), sudoku) is None
    assert puzzle.read_perception(json.dumps([[*rows[0], 1], *rows[1:]]), sudoku) is None
    assert puzzle.read_perception(json.dumps([[True, *rows[0][1:]], *rows[1:]]), sudoku) is None
    assert puzzle.read_perception(json.dumps([[5, *rows[0][1:]], *rows[1:]]), sudoku) is None


def test_an_answer_must_keep_what_is_given():
    puzzle = puzzle_of(2, 2, "cells")
    first, second = item_of(puzzle, 0), item_of(puzzle, 1)
    assert puzzle.solve(first) != puzzle.solve(second)
    assert not puzzle.score_answer(first, puzzle.answer(second)).exact
    assert not puzzle.score_answer(first, puzzle.perception(first)).exact  # blanks are no answer


def test_a_described_puzzle_is_answered_by_any_of_its_solutions_or_none():
    puzzle = puzzle_of(2, 2)
    anything = Sudoku(2, 2, ((0,) * 4,) * 4)
    for index in range(5):
        assert puzzle.score_answer(anything, puzzle.answer(item_of(puzzle, index))) == Credit(True, 1.0)
    contradiction = Sudoku(2, 2, ((1, 1, 0, 0), *((0,) * 4,) * 3))
    assert puzzle.solve(contradiction) is None
    assert puzzle.score_answer(contradiction, puzzle.answer(item_of(puzzle))) == Credit(False, 0.0)
    with pytest.raises(PercasymError, match="no solution"):
        puzzle.answer(contradiction)


CELL = st.sampled_from(["a1", "d4", "e5", "-", "1", "4", "9", "<caption>", "[", '"-"', ","])


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(CELL, max_size=60).map(" ".join),
        st.text(alphabet='[]{}",:-0123456789abc `\n', max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
        ).map(json.dumps),
    )
)
def test_no_text_is_too_odd(text):
    puzzle = puzzle_of(2, 2)
    sudoku = item_of(puzzle)
    described = puzzle.read_perception(text, sudoku)
    perception, answer = puzzle.score_perception(sudoku, text), puzzle.score_answer(sudoku, text)
    for credit in (perception, answer):
        assert 0 <= credit.partial <= 1
        assert not credit.exact or credit.partial == 1
    assert perception.exact == (described == sudoku)
    if described is not None:
        assert isinstance(puzzle.score_answer(described, text), Credit)


@pytest.mark.parametrize(
    "text", ["[" * 10**6, "[" * 9000 + "]" * 9000, "9" * 10**6, "a1 " * 10**6, '{"a":' * 4000, "```" * 10**5]
)
def test_no_text_is_too_long(text):
    puzzle = puzzle_of(2, 2)
    sudoku = item_of(puzzle)
    assert puzzle.read_perception(text, sudoku) is None
    assert not puzzle.score_answer(sudoku, text).exact


@pytest.mark.parametrize("text", FORMATS)
def test_a_text_of_unreasonable_length_is_not_read(text):
    puzzle = puzzle_of(2, 2, text)
    sudoku = item_of(puzzle)
    caption = puzzle.perception(sudoku)
    assert puzzle.read_perception(caption.replace(" ", " " * 100), sudoku) == sudoku
    assert puzzle.read_perception(caption.replace(" ", " " * 10_000), sudoku) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", RELEASED[:-1], RELEASED.replace("4, 6, 2", "4, 4, 2", 1), "[[1, 2], [2, 1]]"],
)
def test_a_bad_ground_truth_is_refused(text):
    with pytest.raises(PercasymError, match="no 9x9 JSON list"):
        puzzle_of(3, 3).read_ground_truth(text)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rows": 5, "cols": 5}, "rows: Input should be less than or equal to 4"),
        ({"rows": 4, "cols": 4}, "too large"),
        ({"rows": 1}, "rows: "),
        ({"blanks_low": 70}, "no range within 1 to 56"),
        ({"blanks_low": 40, "blanks_high": 30}, "no range"),
        ({"rows": 2, "cols": 2, "blanks_high": 13}, "within 1 to 12"),
        ({"side": 64}, "side 64 is too small"),
        ({"style": "nice"}, "no style 'nice'"),
        ({"style": "hard:2"}, "strength"),
        ({"style": "hard:"}, "strength"),
        ({"colour": 1}, "colour"),
        ({"text": "xml"}, "text"),
    ],
)
def test_a_config_out_of_range_says_so_in_one_line(config, message):
    with pytest.raises(PercasymError) as error:
        load_puzzle("sudoku", config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (30, 45)),
        ({"blanks_low": 16}, (16, 45)),
        ({"blanks_high": 16}, (16, 16)),
        ({"blanks_low": 50}, (50, 50)),
        ({"rows": 2, "cols": 2}, (7, 9)),
        ({"rows": 2, "cols": 2, "blanks_low": 3, "blanks_high": 3}, (3, 3)),
    ],
)
def test_blanks_are_as_asked_for_or_usual(config, expected):
    puzzle = load_puzzle("sudoku", config)
    assert puzzle.config.blanks == expected
    for index in range(4):
        assert expected[0] <= item_of(puzzle, index).cells.count(0) <= expected[1]


def test_what_cannot_be_generated_is_said_after_a_while(monkeypatch):
    monkeypatch.setattr("percasym.puzzles.sudoku.carve", lambda *_: None)
    with pytest.raises(PercasymError, match="ask for fewer blanks"):
        puzzle_of(2, 2).generate(random.Random(0))


@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (3, 3)])
def test_the_vocabulary_has_every_word(rows, cols):
    puzzle = puzzle_of(rows, cols, "cells")
    known = set(puzzle.vocabulary())
    for index in range(3):
        sudoku = item_of(puzzle, index)
        thought = puzzle.reasoning(sudoku, random.Random(index), 300, 0.3)
        text = " ".join([puzzle.query(sudoku), puzzle.perception(sudoku), thought.text, thought.answer])
        assert set(text.split()) <= known
    assert len(known) < 200


def test_cells_are_named_by_row_letter_and_column_number():
    assert cell_names(4)[:5] == ("a1", "a2", "a3", "a4", "b1")
    assert cell_names(9)[-1] == "i9"
    assert all(name[0] in string.ascii_lowercase for name in cell_names(9))
