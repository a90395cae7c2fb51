"""Which rows a step takes, and which of their tokens it trains."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.models import load_processor
from percasym.sft.data import TrainingRows, encode_turn
from percasym.training.batches import rows_of_step


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 10), st.integers(0, 2**40))
def test_every_epoch_takes_every_row_once(rows: int, batch_size: int, epoch: int, seed: int) -> None:
    first, last = epoch * rows // batch_size, ((epoch + 1) * rows - 1) // batch_size
    taken = np.concatenate([rows_of_step(rows, seed, step, batch_size) for step in range(first, last + 1)])
    start = epoch * rows - first * batch_size
    assert sorted(taken[start : start + rows]) == list(range(rows))


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = {tuple(rows_of_step(50, seed, step, 50)) for seed in (0, 1) for step in (0, 1)}
    assert len(orders) == 4


def decoded(ids: np.ndarray, mask: np.ndarray, checkpoint: Path) -> str:
    text: str = load_processor(checkpoint).tokenizer.decode(ids[mask])
    return text


def test_a_whole_response_trains_caption_rest_and_end_of_turn(checkpoint: Path) -> None:
    turn = encode_turn(load_processor(checkpoint), "", "<caption> a1 3 </caption> so <answer> a1 3 </answer>")
    assert turn.given == 0
    assert decoded(turn.ids, turn.perception, checkpoint) == "<caption> a1 3 </caption>"
    assert decoded(turn.ids, ~turn.perception, checkpoint) == "so <answer> a1 3 </answer> <|im_end|>"


def test_a_given_caption_is_not_trained(checkpoint: Path) -> None:
    turn = encode_turn(load_processor(checkpoint), "<caption> a1 3 </caption>", " so <answer> a1 3 </answer>")
    trained = np.arange(len(turn.ids)) >= turn.given
    assert decoded(turn.ids, ~trained, checkpoint) == "<caption> a1 3 </caption>"
    assert decoded(turn.ids, trained, checkpoint) == "so <answer> a1 3 </answer> <|im_end|>"
    assert not (turn.perception & trained).any()


def test_the_response_may_begin_within_the_caption(checkpoint: Path) -> None:
    turn = encode_turn(load_processor(checkpoint), "<caption> a1", " 3 </caption> so")
    trained = np.arange(len(turn.ids)) >= turn.given
    assert decoded(turn.ids, turn.perception & trained, checkpoint) == "3 </caption>"


def test_a_mere_transcription_does_not_end_the_turn(checkpoint: Path) -> None:
    turn = encode_turn(load_processor(checkpoint), "", "<caption> a1 3 </caption>")
    assert decoded(turn.ids, turn.perception, checkpoint) == "<caption> a1 3 </caption>"
    assert turn.perception.all()


@pytest.mark.parametrize("remark", ["", "\n", " Done.", " so so", "<|im_end|>"])
def test_a_whole_turn_ends_whatever_stands_behind_the_answer(checkpoint: Path, remark: str) -> None:
    tokenizer = load_processor(checkpoint).tokenizer
    text = f"<caption> a1 3 </caption> so <answer> a1 3 </answer>{remark}"
    turn = encode_turn(load_processor(checkpoint), "", text)
    assert turn.ids[-1] == tokenizer.eos_token_id
    assert turn.ids[-2] != tokenizer.eos_token_id
    assert not turn.perception[-1]


@pytest.mark.parametrize(
    ("prefix", "response", "whole"),
    [
        ("", "so a1 3", True),  # a plain answer has no structure to break off in
        ("", "<caption> a1 3 </caption> so", False),
        ("", "<caption> a1 3 </caption> so <answer> a1", False),
        ("", "<caption> a1", False),
        ("<caption> a1 3 </caption>", " so", False),
        ("<caption> a1 3", " </caption> so <answer> a1 3 </answer>", True),
        ("", "<answer> a1 3 </answer>", True),
        ("", "<think> <answer> a1 </answer> </think> <caption> a1 3 </caption>", False),
    ],
)
def test_fragments_do_not_end_the_turn(checkpoint: Path, prefix: str, response: str, whole: bool) -> None:
    processor = load_processor(checkpoint)
    turn = encode_turn(processor, prefix, response)
    assert bool(turn.ids[-1] == processor.tokenizer.eos_token_id) is whole


def test_of_several_captions_the_one_that_is_the_puzzle_is_perception(checkpoint: Path) -> None:
    processor = load_processor(checkpoint)
    real = "<caption> a1 3 </caption>"
    thoughts = ("<think> <caption> a1 3 </caption> </think> ", "a1 a1 <caption> so </caption> </think> ")
    for before in ("so <caption> so </caption> so ", *thoughts):
        turn = encode_turn(processor, "", f"{before}{real} <answer> a1 3 </answer>", "a1  3")
        assert decoded(turn.ids, turn.perception, checkpoint) == real
        assert np.flatnonzero(turn.perception)[0] > 3
    unknown = encode_turn(processor, "", f"<caption> so </caption> {real}", "a2 4")
    assert decoded(unknown.ids, unknown.perception, checkpoint) == "<caption> so </caption>"


@pytest.fixture(scope="module")
def rows(dataset: Path, checkpoint: Path) -> TrainingRows:
    return TrainingRows(read_split(dataset, "pretrain"), load_processor(checkpoint), seed=0)


def test_ranks_and_micro_batches_part_the_batch(rows: TrainingRows) -> None:
    def contents(world: int, micro_batch_size: int) -> Counter[tuple[str, str, str]]:
        return Counter(
            tuple(rows.processor.tokenizer.decode(ids[mask]) for mask in (whole, perception, reasoning))
            for rank in range(world)
            for batch in rows.batch(1, 6, micro_batch_size, rank, world)
            for ids, whole, perception, reasoning in zip(
                batch.inputs["input_ids"],
                batch.inputs["attention_mask"].bool(),
                batch.perception,
                batch.reasoning,
                strict=True,
            )
        )

    assert contents(1, 6) == contents(1, 4) == contents(2, 2) == contents(3, 1)
    assert sum(contents(1, 6).values()) == 6


def test_an_image_stays_with_its_row(rows: TrainingRows) -> None:
    image_token = rows.processor.tokenizer.image_token_id
    for batch in rows.batch(0, 12, 4, 0, 1):
        with_image = (batch.inputs["input_ids"] == image_token).any(dim=1)
        # rows that transcribe have an image and train perception; rows that solve from text, neither
        assert with_image.tolist() == batch.perception.any(dim=1).tolist()
        assert with_image.sum() == len(batch.inputs.get("image_grid_thw", ()))
        assert (~with_image).tolist() == batch.reasoning.any(dim=1).tolist()
        assert not (batch.perception & batch.reasoning).any()


def test_rows_without_response_are_refused(dataset: Path, checkpoint: Path) -> None:
    with pytest.raises(PercasymError, match="row sudoku-validation-0-0 has no response"):
        TrainingRows(read_split(dataset, "validation"), load_processor(checkpoint), seed=0)
    with pytest.raises(PercasymError, match="no rows"):
        TrainingRows(
            Dataset.from_dict({"id": [], "prefix": [], "response": []}), load_processor(checkpoint), seed=0
        )
