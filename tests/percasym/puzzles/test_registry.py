import json
import random
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from percasym.errors import PercasymError
from percasym.puzzles import SPLITS, Credit, load_puzzle, load_spec, registry, spec

ROOT = Path(__file__).parents[3]
CLOCK = "docs/examples/clock.py:ClockPuzzle"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As in a new process that stands in the repository."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv(registry.ALLOWED_FILES, raising=False)
    load_spec.cache_clear()


def test_the_third_puzzle_of_the_documentation_works():
    puzzle = load_puzzle(CLOCK, {"side": 80})
    for split in SPLITS:
        for index in range(10):
            clock = puzzle.item(split, 0, index).instance
            assert puzzle.split_of(clock) == split
            assert puzzle.render(clock, random.Random(0)).size == (80, 80)
            assert puzzle.read_ground_truth(puzzle.ground_truth(clock)) == clock
            assert puzzle.read_perception(puzzle.perception(clock), clock) == clock
            assert puzzle.score_perception(clock, puzzle.perception(clock)) == Credit(True, 1.0)
            assert puzzle.score_perception(clock, "quarter past") == Credit(False, 0.0)
            assert puzzle.score_answer(clock, puzzle.answer(clock)) == Credit(True, 1.0)
            assert puzzle.score_answer(clock, "25:00") == Credit(False, 0.0)
            assert puzzle.read_answer("25:00", clock) is None
            assert puzzle.describes(puzzle.perception(clock), clock)
            assert not puzzle.describes("quarter past", clock)
            assert puzzle.answers_caption(clock, puzzle.perception(clock), puzzle.answer(clock))
            thought = puzzle.reasoning(clock, random.Random(0), 10, 0.0)
            assert set(thought.text.split()) <= set(puzzle.vocabulary())
            assert thought.answer == puzzle.answer(clock)
    with pytest.raises(PercasymError, match="no minutes"):
        puzzle.read_ground_truth("[]")


@pytest.mark.parametrize(
    "text",
    [
        "3:05", " 3:05\n", "**3:05**", "`3:05`", '"3:05"', "```\n3:05\n```", "Time: 3:05",
        "The time is **3:05**.", "3:05<|im_end|>", "\\boxed{3:05}", "$\\boxed{3:05}$", '{"time": "3:05"}',
        "{'time': '3:05'}", "['3:05']", "３：０５", "I look.\n3:05", "3:05.", "3:05\n\nTime: 3:05",
    ],
)  # fmt: skip
def test_a_family_of_a_users_own_reads_what_the_reader_reads(text):
    puzzle = load_puzzle(CLOCK)
    assert puzzle.read_perception(text, 0) == 185
    assert puzzle.score_perception(185, text) == Credit(True, 1.0)
    assert puzzle.read_perception(text.replace("3:05", "3:06").replace("３：０５", "3:06"), 0) == 186
    assert puzzle.read_perception(text + "\n3:10", 0) is None


@pytest.mark.parametrize("text", ["", "3:5", "3:05 or 3:06", "3:05\n3:06", "3", "[3, 5]", "{}", "[" * 10**6])
def test_what_says_no_time_or_two_is_not_read(text):
    assert load_puzzle(CLOCK).read_perception(text, 0) is None


def test_the_documentation_shows_the_example_as_it_is():
    page = (ROOT / "docs" / "puzzles.md").read_text()
    assert (ROOT / "docs" / "examples" / "clock.py").read_text() in page


@pytest.mark.parametrize("name", ["sudoku", "graph_coloring", CLOCK])
def test_a_spec_leads_back_to_the_puzzle(name):
    puzzle = load_puzzle(name, {"style": "hard:0.5", "side": 400, "text": "cells"})
    text = spec(puzzle)
    assert json.loads(text)["name"] == name
    again = load_spec(text)
    assert type(again) is type(puzzle)
    assert again.config == puzzle.config
    assert spec(again) == text
    assert again.item("test", 0, 0) == puzzle.item("test", 0, 0)


def test_the_file_of_a_data_set_is_run_only_if_the_user_named_it(monkeypatch, tmp_path):
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    name = f"{trap}:Trap"
    with pytest.raises(PercasymError, match=f"set {registry.ALLOWED_FILES}="):
        load_spec(json.dumps({"name": name, "config": {}}))
    assert not (tmp_path / "sprung").exists()
    monkeypatch.setenv(registry.ALLOWED_FILES, name)
    with pytest.raises(PercasymError, match=r"has no class .Trap"):
        load_spec(json.dumps({"name": name, "config": {}}))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chess", "use one of sudoku, graph_coloring, or path/to/file.py:Class"),
        ("", "no puzzle ''"),
        ("nowhere.py:Chess", "no file .nowhere.py"),
        ("docs/examples/clock.py:Chess", "has no class .Chess"),
        ("docs/examples/clock.py:TIMES", "no class .TIMES"),
        ("percasym/puzzles/base.py:Puzzle", "no class .Puzzle. that is"),
    ],
)
def test_what_is_no_puzzle_is_said_in_one_line(name, message):
    with pytest.raises(PercasymError, match=message) as error:
        load_puzzle(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_like_it", "does not run: ModuleNotFoundError"),
        ("class Chess(:", "does not run: SyntaxError"),
        (
            "from percasym.puzzles import Puzzle\nclass Chess(Puzzle):\n    name = 'chess'",
            "lacks answer, generate",
        ),
    ],
)
def test_a_bad_file_is_said_in_one_line(tmp_path, code, message):
    file = tmp_path / "chess.py"
    file.write_text(code)
    with pytest.raises(PercasymError, match=message) as error:
        load_puzzle(f"{file}:Chess")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": 1, "config": {}}', '{"name": "sudoku"}', "[" * 10**5]
)
def test_what_is_no_spec_is_said(text):
    with pytest.raises(PercasymError, match="no JSON of a puzzle's name and config"):
        load_spec(text)


def test_an_installed_package_adds_a_puzzle(monkeypatch):
    def installed(group):
        assert group == "percasym.puzzles"
        return [
            EntryPoint("numbers", "percasym.puzzles.sudoku:SudokuPuzzle", group),
            EntryPoint("broken", "percasym.nothing:Puzzle", group),
        ]

    monkeypatch.setattr(registry, "entry_points", installed)
    puzzle = load_puzzle("numbers", {"rows": 2, "cols": 2})
    assert json.loads(spec(puzzle))["name"] == "numbers"
    with pytest.raises(PercasymError, match="broken fails on import"):
        load_puzzle("broken")
    with pytest.raises(PercasymError, match="graph_coloring, broken, numbers"):
        load_puzzle("chess")
