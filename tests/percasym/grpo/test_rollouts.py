"""Sampled responses: judged as everywhere, and with the tokens that were really sampled."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from percasym.datasets import read_split
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.errors import PercasymError
from percasym.grpo.rollouts import Rollout, SurrogateInputs, caption_tokens, micro_batch, roll_out
from percasym.judgement import FIELDS, score
from percasym.models import load, load_processor
from percasym.models.prompting import assistant_text
from percasym.puzzles.registry import load_spec
from percasym.response import parse, perception_mask
from percasym.rewards import parse_reward

SAMPLING = Sampling(temperature=1.0, max_tokens=12, seed=3)


def rollout(processor: Any, text: str, prefix: str = "") -> Rollout:
    ids = assistant_text(processor, prefix + text).ids[len(assistant_text(processor, prefix).ids) :]
    judged = score(load_spec('{"name": "sudoku", "config": {"rows": 2, "cols": 2}}'), None, "")  # type: ignore[arg-type]
    span = parse(prefix + text).caption_span
    return Rollout(
        "x", 0, "solve", Image.new("RGB", (64, 64)), prefix, text, tuple(ids), False, judged, 0.0, 0.0, span
    )


@pytest.mark.parametrize(
    "text",
    [
        "<caption> a1 3 a2 - </caption> so then <answer> a1 3 </answer>",
        "so <caption> a1 3 </caption>",
        "<caption> a1 <caption> a2 </caption> so",
        "<caption> a1 3 a2",
        "so then",
    ],
)
def test_the_caption_is_found_among_sampled_tokens(checkpoint: Path, text: str) -> None:
    processor = load_processor(checkpoint)
    sampled = rollout(processor, text)
    low, high = caption_tokens(processor, [], sampled)
    offsets = assistant_text(processor, text).offsets
    assert [low <= i < high for i in range(len(offsets))] == perception_mask(text, offsets)
    batch = micro_batch(processor, [sampled, rollout(processor, "so")])
    assert int(batch.perception[0].sum()) == high - low
    assert int((batch.perception | batch.reasoning)[0].sum()) == len(sampled.ids)
    assert not (batch.perception & batch.reasoning).any()


def test_a_given_caption_is_not_learnt(checkpoint: Path) -> None:
    processor = load_processor(checkpoint)
    sampled = rollout(processor, " so <answer> a1 3 </answer>", prefix="<caption> a1 3 </caption>")
    assert caption_tokens(processor, [1, 2, 3], sampled) == (0, 0)
    batch = micro_batch(processor, [sampled])
    assert int(batch.reasoning.sum()) == len(sampled.ids)


def test_groups_are_judged_as_everywhere_and_differ(checkpoint: Path, dataset: Path) -> None:
    engine = TransformersEngine(*load(checkpoint, device="cpu"), batch_size=8)
    rows = [dict(row) for row in read_split(dataset, "train_rl").select(range(3))]
    groups = roll_out(engine, rows, 4, SAMPLING, parse_reward("0.5*a_p_partial+0.25*format"))
    assert [group[0].id for group in groups] == [row["id"] for row in rows]
    for row, group in zip(rows, groups, strict=True):
        assert [sample.sample for sample in group] == [0, 1, 2, 3]
        assert len({sample.text for sample in group}) > 1
        puzzle = load_spec(row["puzzle"])
        for sample in group:
            judged = score(puzzle, puzzle.read_ground_truth(row["ground_truth"]), sample.text)
            assert sample.judged == judged
            assert sample.reward == 0.5 * judged.a_p_partial + 0.25 * judged.format
            record = sample.record(7)
            assert record["step"] == 7
            assert set(FIELDS) < set(record)
    again = roll_out(engine, rows, 4, SAMPLING, parse_reward("a"))
    assert [[s.text for s in g] for g in again] == [[s.text for s in g] for g in groups]


FAILING = """
def broken(group):
    return [1 / 0]

def nan(group):
    return [float("nan")] * len(group.responses)

def short(group):
    return [1.0]

def fine(group):
    return [0.25 * number for number in range(len(group.responses))]
"""


def rewarded(checkpoint: Path, dataset: Path, reward: str) -> list[Rollout]:
    engine = TransformersEngine(*load(checkpoint, device="cpu"), batch_size=8)
    rows = [dict(row) for row in read_split(dataset, "train_rl").select(range(1))]
    return roll_out(engine, rows, 3, SAMPLING, parse_reward(reward))[0]


@pytest.mark.parametrize(
    ("name", "words"), [("broken", "ZeroDivisionError"), ("nan", "nan"), ("short", "3 responses")]
)
def test_a_surrogate_that_fails_stops_with_the_item(
    checkpoint: Path, dataset: Path, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "own.py").write_text(FAILING)
    with pytest.raises(PercasymError, match=words) as error:
        rewarded(checkpoint, dataset, f"surrogate:{tmp_path / 'own.py'}:{name}:0.5")
    assert "sudoku-train_rl-0-0" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_users_surrogate_is_a_function_in_a_file(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FAILING)
    group = rewarded(checkpoint, dataset, f"surrogate:{tmp_path / 'own.py'}:fine:0.5")
    assert [sample.stand_in for sample in group] == [0.0, 0.25, 0.5]
    assert [sample.reward for sample in group] == [0.5 * s.stand_in + 0.5 * s.judged.a for s in group]
    assert group[2].record(1)["surrogate"] == 0.5


def test_surrogates_get_the_teachers_caption_and_the_policys_gains(checkpoint: Path, dataset: Path) -> None:
    engine = TransformersEngine(*load(checkpoint, device="cpu"), batch_size=8)
    rows = [dict(row) for row in read_split(dataset, "train_rl").select(range(1))]
    gains = SurrogateInputs(gains=lambda group: [0.0] * (len(group) - 1) + [100.0])
    group = roll_out(engine, rows, 3, SAMPLING, parse_reward("surrogate:blinding:1"), gains)[0]
    assert [rollout.reward for rollout in group] == [0, 0, 1]
    other = SurrogateInputs(captions={"another": ""})
    with pytest.raises(PercasymError, match="lack the item sudoku-train_rl-0-0"):
        roll_out(engine, rows, 3, SAMPLING, parse_reward("surrogate:teacher:1"), other)
    with pytest.raises(PercasymError, match="teacher wants"):
        roll_out(engine, rows, 3, SAMPLING, parse_reward("surrogate:teacher:1"))
