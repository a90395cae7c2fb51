"""Read back by `datasets.load_dataset` and, see `make test-consumers`, by TRL: its collator and trainers."""

import io
import json
from pathlib import Path

import datasets
import pytest
from fixtures.consumers import ROOT, run_beside
from PIL import Image

from percasym.datasets import iter_split, write_dataset
from percasym.exporting import export_dataset
from percasym.exporting.trl import FEATURES

COLLATE = """
import json, sys
from datasets import load_dataset
from transformers import AutoProcessor
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling
folder, model = sys.argv[1:]
processor = AutoProcessor.from_pretrained(model)
collate = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)
for row in load_dataset(folder, "prompt_completion", split="train_sft"):
    batch = collate([row])
    trained = batch["labels"][0] != -100
    patches = len(batch["pixel_values"]) if "pixel_values" in batch else 0
    print(json.dumps([processor.tokenizer.decode(batch["input_ids"][0][trained]), patches]))
"""
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
    assert [path.name for path in (tmp_path / "out").rglob("*.parquet")] == ["test.parquet"]
    assert set(datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))) == {"test"}


@pytest.mark.trl
@pytest.mark.timeout(900)
def test_the_collator_of_trl_reads_it(taught: Path, checkpoint: Path, tmp_path: Path) -> None:
    export_dataset(taught, "trl", tmp_path / "out", ["train_sft"])
    lines = run_beside("trl", tmp_path / "home", "-c", COLLATE, tmp_path / "out", checkpoint).splitlines()
    ours = [row for row in iter_split(taught, "train_sft") if row["response"] and not row["prefix"]]
    for line, own in zip(lines, ours, strict=True):
        text, patches = json.loads(line)
        assert text.split() == [*own["response"].split(), "<|im_end|>"]
        assert (patches > 0) == (own["image"] is not None)


@pytest.mark.trl
@pytest.mark.timeout(900)
def test_trl_trains_on_it(taught: Path, checkpoint: Path, tmp_path: Path) -> None:
    export_dataset(taught, "trl", tmp_path / "out")
    command = [ROOT / "docs" / "examples" / "train_with_trl.py", tmp_path / "out", checkpoint]
    printed = run_beside("trl", tmp_path / "home", *command, tmp_path / "models", "1")
    assert "'loss': " in printed
    assert "'rewards/right/mean': '0'" in printed
