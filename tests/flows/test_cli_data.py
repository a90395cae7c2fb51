"""The commands that take data in and give it out: what they say, and one line for every mistake."""

from pathlib import Path

import datasets
import pytest
from fixtures.command import call
from fixtures.released import GRAPH, SUDOKU, answered, released, write_released

from percasym.datasets import iter_split


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [released(truth, answered(truth, right)) for truth in (GRAPH, SUDOKU) for right in (True, False)]
    cut_off = released(SUDOKU, "<caption> I see")
    broken = {**released(GRAPH), "image": None}
    return write_released(
        tmp_path / "source", train_sft=[*rows, cut_off], test=[released(GRAPH), broken, released(GRAPH)]
    )


def test_what_was_found_is_told(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, told, err = call(capfd, "import", source, "--out", out)
    assert (code, err) == (0, "")
    assert told.splitlines() == [
        "test: 2 rows, no responses",
        "train_sft: 5 rows, 5 responses: 2 right, 4 with the right caption, 2 both, 1 incomplete",
        f"warning: rows whose puzzle is in another split too: 2, see {out}/repeated.jsonl",
        "  train_sft row 0: test row 0",
        "  train_sft row 1: test row 0",
        f"warning: rows equal to an earlier one of their split: 1, see {out}/equal.jsonl",
        "  test row 2: row 0",
        f"warning: rows that could not be taken: 1, see {out}/rejected.jsonl",
        "  test row 1: it has no image",
        f"7 items in {out}",
    ]


@pytest.mark.parametrize("to", ["hub", "llamafactory", "trl", "verl"])
def test_in_and_out_again_a_ground_truth_is_the_same_bytes(
    to: str, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capfd, "import", source, "--out", tmp_path / "data")
    assert code == 0, err
    code, told, err = call(
        capfd, "export", tmp_path / "data", "--to", to, "--out", tmp_path / "out", "--split", "train_sft"
    )
    assert (code, err) == (0, "")
    assert told.startswith("train_sft: 5 rows")
    assert told.endswith(f"written to {tmp_path / 'out'}\n")
    kind, path = {
        "hub": ("parquet", "data/*.parquet"),
        "llamafactory": ("json", "train_sft.json"),
        "trl": ("parquet", "*/*.parquet"),
        "verl": ("parquet", "*.parquet"),
    }[to]
    rows = datasets.load_dataset(
        kind, data_files=str(tmp_path / "out" / path), split="train", cache_dir=str(tmp_path / "cache")
    )
    truths = [row["reward_model"] if to == "verl" else row for row in rows]
    assert [row["ground_truth"] for row in truths] == [GRAPH] * 2 + [SUDOKU] * 3
    assert [row["response"] for row in iter_split(tmp_path / "data", "train_sft")][:2] == [
        answered(GRAPH),
        answered(GRAPH, right=False),
    ]


def test_what_is_left_out_is_told(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call(capfd, "import", source, "--out", tmp_path / "data")
    _, told, _ = call(capfd, "export", tmp_path / "data", "--to", "llamafactory", "--out", tmp_path / "out")
    assert "test: 0 rows; 2 left out: no response\n" in told
    _, told, _ = call(capfd, "export", tmp_path / "data", "--to", "verl", "--out", tmp_path / "verl")
    assert "train_sft: 5 rows; without their 5 responses: verl samples its own\n" in told
    _, told, _ = call(capfd, "export", tmp_path / "data", "--to", "trl", "--out", tmp_path / "trl")
    assert 'test: 2 rows; load_dataset(FOLDER, "prompt_only")\n' in told


def test_the_puzzle_can_be_told(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = ["--puzzle", "sudoku", "--set", "text=cells"]
    code, out, _ = call(capfd, "import", source / "data", "--out", tmp_path / "data", *told)
    assert (code, out) == (2, "")  # there is no Sudoku in test
    (source / "data" / "test-00000-of-00001.parquet").unlink()
    code, out, _ = call(capfd, "import", source / "data", "--out", tmp_path / "data", *told)
    assert code == 0
    assert "rows that could not be taken: 2" in out
    assert next(iter_split(tmp_path / "data", "train_sft"))["perception"].startswith("a1 - a2 4")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "no/such/folder", "--out", "x"], "there is no folder no/such/folder"),
        (["import", "owner/name", "--out", "x"], "cannot read owner/name from the Hub"),
        (["import", ".", "--out", "x"], "no parquet, JSON or JSONL files"),
        (["import", ".", "--out", "x", "--puzzle", "chess"], "chess"),
        (["import", ".", "--out", "x", "--set", "rows=2"], "--set needs --puzzle"),
        (["import", "."], "--out"),
        (["export", "nowhere", "--to", "hub", "--out", "x"], "nowhere is no data set"),
        (["export", "nowhere", "--to", "axolotl", "--out", "x"], "axolotl"),
        (["export", "nowhere", "--out", "x"], "--to"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, out, err = call(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_left_alone(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    code, out, err = call(capfd, "import", source, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "is there already: name a new folder" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
