"""Read back by verl's own data set, see `make test-verl`."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from percasym.datasets import iter_split, write_dataset
from percasym.exporting import export_dataset


@pytest.fixture
def responded(taught: Path, tmp_path: Path) -> Path:
    rows = [row for row in iter_split(taught, "train_sft") if row["id"].endswith(("right", "wrong"))]
    write_dataset(tmp_path / "data", {"train_rl": rows})
    return tmp_path / "data"


def test_the_rows_are_those_of_our_own_training_and_responses_stay_behind(
    responded: Path, tmp_path: Path
) -> None:
    (found,) = export_dataset(responded, "verl", tmp_path / "out")
    assert (found.rows, found.note) == (4, "without their 4 responses: verl samples its own")
    for row, ours in zip(
        pq.read_table(tmp_path / "out" / "train_rl.parquet").to_pylist(),
        iter_split(responded, "train_rl"),
        strict=True,
    ):
        assert row["reward_model"]["ground_truth"] == ours["ground_truth"]
        assert row["prompt"] == [{"role": "user", "content": f"<image>{ours['query']}"}]
        assert row["images"][0]["bytes"] == ours["image"]


@pytest.mark.verl
def test_verl_reads_it(responded: Path, checkpoint: Path, tmp_path: Path) -> None:
    from hydra import compose, initialize_config_module
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from percasym.models import load

    export_dataset(responded, "verl", tmp_path / "out")
    _, processor = load(str(checkpoint))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose(
            "ppo_trainer",
            overrides=["data.max_prompt_length=8192", "data.filter_overlong_prompts=True"],
        ).data
    theirs = RLHFDataset(str(tmp_path / "out" / "train_rl.parquet"), processor.tokenizer, config, processor)
    ours = list(iter_split(responded, "train_rl"))
    assert len(theirs) == len(ours)
    for number, own in enumerate(ours):
        row = theirs[number]
        (turn,) = row["raw_prompt"]
        image, text = turn["content"]
        assert text == {"type": "text", "text": own["query"]}
        expected = Image.open(io.BytesIO(own["image"])).convert("RGB")
        assert image["image"].convert("RGB").tobytes() == expected.tobytes()
        assert row["reward_model"] == {"style": "rule", "ground_truth": own["ground_truth"]}
        assert row["extra_info"]["puzzle"] == own["puzzle"]
