"""Rows that a model cannot take are named in one line, before any work, wherever rows are read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.architectures import ARCHITECTURES
from PIL import Image

from percasym import captioning, evaluation
from percasym.datasets import iter_split, read_split, write_dataset
from percasym.errors import PercasymError
from percasym.grpo import audit
from percasym.grpo.config import GRPOConfig
from percasym.grpo.trainer import train as reinforce
from percasym.images import encode_image
from percasym.models import load_processor
from percasym.models.suitability import check_rows, placeholders
from percasym.sft.config import SFTConfig
from percasym.sft.trainer import train


def with_row(source: Path, folder: Path, split: str, **change: Any) -> Path:
    """A data set of up to 6 rows of `source`, the third of them changed."""
    rows = list(iter_split(source, split))[:6]
    rows[2] = {**rows[2], **change}
    write_dataset(folder, {split: rows})
    return folder


@pytest.fixture(scope="module")
def thin() -> bytes:
    return encode_image(Image.new("RGB", (369, 1)))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_stands_for_an_image_is_refused_in_any_text(
    name: str, released: Callable[[str], Path], puzzles: Path, tmp_path: Path
) -> None:
    processor = load_processor(released(name))
    mark = "<IMG_CONTEXT>" if name == "internvl" else "<|image_pad|>"
    assert placeholders(processor)[0] == mark
    check_rows(processor, read_split(puzzles, "train_sft"))
    for column in ("query", "prefix", "response"):
        data = with_row(puzzles, tmp_path / column, "train_sft", **{column: f"see {mark}."})
        with pytest.raises(PercasymError) as error:
            check_rows(processor, read_split(data, "train_sft"))
        expected = f"has {mark} in its {column}, which stands for an image"
        assert str(error.value) == (
            f"the model cannot take 1 of the 6 items: sudoku-train_sft-0-2 {expected}; mend them"
        )


@pytest.mark.parametrize("name", ["qwen3_vl", "qwen2_5_vl"])
def test_an_image_of_an_impossible_shape_is_refused(
    name: str, released: Callable[[str], Path], puzzles: Path, tmp_path: Path, thin: bytes
) -> None:
    processor = load_processor(released(name))
    data = with_row(puzzles, tmp_path / "data", "train_sft", image=thin)
    with pytest.raises(PercasymError, match=r"sudoku-train_sft-0-2 has an image of 369 x 1: .*aspect ratio"):
        check_rows(processor, read_split(data, "train_sft"))


def test_internvl_takes_any_shape(
    released: Callable[[str], Path], puzzles: Path, tmp_path: Path, thin: bytes
) -> None:
    data = with_row(puzzles, tmp_path / "data", "train_sft", image=thin)
    check_rows(load_processor(released("internvl")), read_split(data, "train_sft"))


def test_many_items_are_counted_and_some_named(
    released: Callable[[str], Path], puzzles: Path, tmp_path: Path, thin: bytes
) -> None:
    rows = [{**row, "image": thin, "query": "<|image_pad|>"} for row in iter_split(puzzles, "train_sft")]
    rows[0]["image"] = b"no image"
    write_dataset(tmp_path / "data", {"train_sft": rows})
    with pytest.raises(PercasymError, match="cannot take 8 of the 8 items: ") as error:
        check_rows(load_processor(released("qwen3_vl")), read_split(tmp_path / "data", "train_sft"))
    message = str(error.value)
    assert message.count("sudoku-train_sft-") == 3
    assert "\n" not in message
    assert "image and has an image that is no readable PNG, JPEG, WEBP; sudoku-train_sft-0-1 has" in message


PROGRAMS: dict[str, tuple[Callable[[Any], Iterator[Any]], Callable[..., Any]]] = {
    "evaluation": (evaluation.run, evaluation.EvaluationConfig),
    "captioning": (captioning.run, captioning.CaptioningConfig),
    "audit": (audit.run, audit.AuditConfig),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("column", ["query", "image"])
def test_generation_does_not_begin(
    program: str,
    column: str,
    released: Callable[[str], Path],
    puzzles: Path,
    tmp_path: Path,
    thin: bytes,
) -> None:
    run, configured = PROGRAMS[program]
    changed = {"query": "<|vision_start|><|image_pad|><|vision_end|> Solve.", "image": thin}[column]
    data = with_row(puzzles, tmp_path / "data", "test", **{column: changed})
    model, out = str(released("qwen3_vl")), tmp_path / "out"
    config = configured(model=model, dataset=str(data), split="test", out=out)
    with pytest.raises(PercasymError, match="cannot take 1 of the 4 items: sudoku-test-0-2 has") as error:
        list(run(config))
    assert "\n" not in str(error.value)
    assert not out.exists()


@pytest.mark.parametrize("column", ["response", "image"])
def test_fine_tuning_does_not_begin(
    column: str, released: Callable[[str], Path], puzzles: Path, tmp_path: Path, thin: bytes
) -> None:
    changed = {"response": "so <|image_pad|>", "image": thin}[column]
    data = with_row(puzzles, tmp_path / "data", "train_sft", **{column: changed})
    model, out = str(released("qwen3_vl")), tmp_path / "run"
    config = SFTConfig(model=model, dataset=str(data), out=out, steps=1, batch_size=2, threads=1)
    with pytest.raises(PercasymError, match="cannot take 1 of the 6 items: sudoku-train_sft-0-2 has"):
        train(config)


def test_reinforcement_does_not_begin(
    released: Callable[[str], Path], puzzles: Path, tmp_path: Path, thin: bytes
) -> None:
    data = with_row(puzzles, tmp_path / "data", "test", image=thin)
    model, out = str(released("qwen3_vl")), tmp_path / "run"
    config = GRPOConfig(
        model=model, dataset=str(data), split="test", out=out, steps=1, prompts=2, group_size=2, threads=1
    )
    with pytest.raises(PercasymError, match="cannot take 1 of the 4 items: sudoku-test-0-2 has"):
        reinforce(config)
