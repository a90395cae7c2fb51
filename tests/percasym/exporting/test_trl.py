"""Read back by `datasets.load_dataset`, in the structure that TRL documents."""

import io
from pathlib import Path

import datasets
import pytest
from PIL import Image

from percasym.datasets import iter_split, write_dataset
from percasym.exporting import export_dataset
from percasym.exporting.trl import FEATURES

KEPT = ("id", "ground_truth", "perception", "puzzle")


def test_it_is_read_back_by_load_dataset(taught: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    exported = {found.split: found for found in export_dataset(taught, "trl", tmp_path / "out")}
    completed = datasets.load_dataset(str(tmp_path / "out"), "prompt_completion", cache_dir=cache)
    prompts = datasets.load_dataset(str(tmp_path / "out"), "prompt_only", cache_dir=cache)
    assert (set(completed), set(prompts)) == ({"train_sft"}, {"test", "train_rl"})
    assert exported["train_sft"].left_out == {"no response": 1, "a prefix of the response": 1}
    for split in exported:
        rows = completed["train_sft"] if split == "train_sft" else prompts[split]
        assert rows.features == FEATURES["prompt_completion" if split == "train_sft" else "prompt_only"]
        ours = [row for row in iter_split(taught, split) if row["id"] not in ("no-response", "prefix")]
        assert len(rows) == exported[split].rows == len(ours)
        for row, own in zip(rows, ours, strict=True):
            assert row["prompt"] == [{"role": "user", "content": own["query"]}]
            assert {column: row[column] for column in KEPT} == {column: own[column] for column in KEPT}
            if own["image"] is None:
                assert row["images"] == []
            else:
                (image,) = row["images"]
                assert image.tobytes() == Image.open(io.BytesIO(own["image"])).tobytes()
            if split == "train_sft":
                assert row["completion"] == [{"role": "assistant", "content": own["response"]}]


def test_a_split_of_many_groups(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("percasym.exporting.trl.GROUP_ROWS", 2)
    export_dataset(taught, "trl", tmp_path / "out", ["train_rl"])
    rows = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train_rl"]
    assert list(rows["id"]) == [row["id"] for row in iter_split(taught, "train_rl")]


def test_a_split_of_which_nothing_is_left_has_no_file(taught: Path, tmp_path: Path) -> None:
    rows = [row for row in iter_split(taught, "train_sft") if row["id"] == "prefix"]
    write_dataset(tmp_path / "data", {"test": iter_split(taught, "train_rl"), "train_sft": rows})
    test, train = export_dataset(tmp_path / "data", "trl", tmp_path / "out")
    assert (test.rows, train.rows, train.left_out) == (3, 0, {"a prefix of the response": 1})
    assert set(datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))) == {"test"}
