"""What is taken over is what was there, looked at; what cannot be taken is listed."""

import io
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from fixtures.released import GRAPH, QUERY, SUDOKU, answered, listed, picture, released, write_released
from PIL import Image

from percasym.datasets import iter_split, split_names
from percasym.errors import PercasymError
from percasym.images import encode_image
from percasym.importing import SplitReport, import_dataset
from percasym.judgement import score
from percasym.puzzles import load_puzzle, load_spec


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("ground_truth", "family", "knobs"),
    [
        (GRAPH, "graph_coloring", {"vertices_low": 7, "vertices_high": 7}),
        (SUDOKU, "sudoku", {"rows": 3, "cols": 3}),
    ],
)
def test_a_released_row_is_taken_byte_by_byte_and_scored(
    ground_truth: str, family: str, knobs: dict[str, int], tmp_path: Path
) -> None:
    right, wrong = answered(ground_truth), answered(ground_truth, right=False)
    rows = [released(ground_truth, right), released(ground_truth, wrong), released(ground_truth)]
    source = write_released(tmp_path / "source", train_sft=rows)
    report = import_dataset(str(source), tmp_path / "out")
    assert report.splits == {"train_sft": SplitReport(rows=3, responses=2, right=1, right_caption=2, both=1)}
    for number, (row, given_row) in enumerate(
        zip(iter_split(tmp_path / "out", "train_sft"), rows, strict=True)
    ):
        assert row["id"] == f"{family}-train_sft-imported-{number}"
        assert row["query"] == QUERY
        assert row["ground_truth"] == ground_truth
        assert row["response"] == (given_row["response"] or "")
        assert row["image"] == given_row["image"]["bytes"]
        assert row["prefix"] == ""
        puzzle = load_spec(row["puzzle"])
        instance = puzzle.read_ground_truth(row["ground_truth"])
        assert puzzle.ground_truth(instance) == ground_truth
        assert puzzle.perception(instance) == row["perception"]
        assert puzzle.config.model_dump().items() >= knobs.items()
        assert score(puzzle, instance, right).a
        assert not score(puzzle, instance, wrong).a
        assert score(puzzle, instance, wrong).a_p


def test_the_splits_and_the_card(tmp_path: Path) -> None:
    rows = {"test": [released(GRAPH)], "train_sft": [released(SUDOKU, answered(SUDOKU))]}
    source = write_released(tmp_path / "source", **rows)
    import_dataset(str(source), tmp_path / "out")
    assert split_names(tmp_path / "out") == ["test", "train_sft"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| test | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |" in card
    assert "| train_sft | 1 | 0 | 0 | 0 | 1 | 1 | 1 | 1 |" in card
    assert "`source`" in card
    assert "license" not in card
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "data"]
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["test"][0]["ground_truth"] == GRAPH


def ambiguous() -> str:
    grid = json.loads(SUDOKU)
    return json.dumps([[0] * 9, *grid[1:4], [0] * 9, [0] * 9, *grid[6:]])


def huge_picture() -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no JSON": ({"ground_truth": "[["}, "its ground truth is no puzzle: '[['"),
    "too long": ({"ground_truth": f"[{' ' * 30_000}]"}, "its ground truth is no puzzle"),
    "deep": ({"ground_truth": "[" * 15_000}, "its ground truth is no puzzle"),
    "another size": ({"ground_truth": "[[1, 2], [2, 1]]"}, "its ground truth is no puzzle"),
    "wrong c": ({"ground_truth": GRAPH.replace('"c": 3', '"c": 2')}, "with its chromatic number c"),
    "c too high": ({"ground_truth": GRAPH.replace('"c": 3', '"c": 4')}, "with its chromatic number c"),
    "no edges": ({"ground_truth": '{"v": 3, "c": 1, "edges": []}'}, "its graph has no edge"),
    "stranger": ({"ground_truth": GRAPH.replace("[3, 6]", "[3, 7]")}, "with its chromatic number c"),
    "two solutions": ({"ground_truth": ambiguous()}, "more than one solution"),
    "no solution": ({"ground_truth": SUDOKU.replace("[0, 4, 6", "[4, 4, 6")}, "Sudoku that can be solved"),
    "null": ({"ground_truth": None}, "its ground_truth is no text"),
    "no query": ({"query": None}, "its query is no text"),
    "long response": ({"response": "x" * (1 << 21)}, "its response is longer than 1,048,576 characters"),
    "no image": ({"image": None}, "it has no image"),
    "not an image": ({"image": {"bytes": b"GIF89a", "path": None}}, "no readable PNG, JPEG, WEBP"),
    "half an image": ({"image": {"bytes": picture(GRAPH)[:900], "path": None}}, "no readable PNG"),
    "huge image": ({"image": huge_picture()}, "10000 x 10000 is larger than 25,000,000 pixels"),
    "lost image": ({"image": {"bytes": None, "path": "a.png"}}, "its image 'a.png' is not there"),
}


@pytest.mark.parametrize(("changes", "reason"), BAD.values(), ids=BAD)
def test_a_row_that_cannot_be_taken_is_listed(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = [released(SUDOKU), {**released(GRAPH), **changes}, released(GRAPH)]
    report = import_dataset(str(write_released(tmp_path / "source", test=rows)), tmp_path / "out")
    assert report.splits["test"] == SplitReport(rows=2, rejected=1)
    (line,) = listed(tmp_path / "out" / "rejected.jsonl")
    assert (line["split"], line["row"]) == ("test", 1)
    assert reason in line["reason"]
    assert len(line["reason"]) < 400
    assert report.rejected == [line]
    ids = [row["id"] for row in iter_split(tmp_path / "out", "test")]
    assert ids == ["sudoku-test-imported-0", "graph_coloring-test-imported-2"]


def test_a_puzzle_in_two_splits_is_listed(tmp_path: Path) -> None:
    written_otherwise = GRAPH.replace("[0, 1], [0, 5]", "[5, 0], [0, 1]").replace(" ", "")
    rows = {
        "test": [released(GRAPH), released(GRAPH)],
        "train_sft": [released(SUDOKU), released(written_otherwise)],
    }
    report = import_dataset(str(write_released(tmp_path / "source", **rows)), tmp_path / "out")
    line = {"split": "train_sft", "row": 1, "other_split": "test", "other_row": 0}
    assert (report.repeats, report.repeated) == (1, [line])
    assert listed(tmp_path / "out" / "repeated.jsonl") == [line]
    assert [row["ground_truth"] for row in iter_split(tmp_path / "out", "train_sft")] == [
        SUDOKU,
        written_otherwise,
    ]
    assert "Rows whose puzzle occurs in another split too: 1" in (tmp_path / "out" / "README.md").read_text()


def test_what_the_puzzles_are_can_be_told(tmp_path: Path) -> None:
    puzzle = load_puzzle("sudoku", {"rows": 3, "cols": 2, "text": "cells"})
    truth = puzzle.ground_truth(puzzle.item("test", 0, 0).instance)
    image = {"bytes": encode_image(Image.new("RGB", (64, 64))), "path": None}
    rows = [{"query": "?", "image": image, "ground_truth": text} for text in (truth, GRAPH)]
    source = write_released(tmp_path / "source", test=rows)
    import_dataset(str(source), tmp_path / "out", puzzle)
    (row,) = iter_split(tmp_path / "out", "test")
    assert row["perception"].startswith("a1 ")
    assert load_spec(row["puzzle"]).config.cols == 2
    (line,) = listed(tmp_path / "out" / "rejected.jsonl")
    assert "no 6x6 JSON list" in line["reason"]


def test_a_folder_with_content_is_left_alone(tmp_path: Path) -> None:
    source = write_released(tmp_path / "source", test=[released(GRAPH)])
    (tmp_path / "out").mkdir()
    import_dataset(str(source), tmp_path / "out")
    before = content(tmp_path / "out")
    for taken in (tmp_path / "out", tmp_path / "out" / "README.md"):
        with pytest.raises(PercasymError, match="is there already"):
            import_dataset(str(source), taken)
    assert content(tmp_path / "out") == before
