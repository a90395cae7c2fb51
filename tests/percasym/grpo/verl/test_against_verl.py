"""The embedded engine's arithmetic, prompts and scores against verl's."""

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from percasym.datasets import read_split, write_dataset
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.grpo.advantages import group_advantages, token_weights
from percasym.grpo.config import GRPOConfig
from percasym.grpo.losses import divergence, policy_loss
from percasym.grpo.rollouts import roll_out
from percasym.grpo.verl.config import VerlConfig
from percasym.grpo.verl.overrides import AGGREGATION, NO_DUAL_CLIP, overrides
from percasym.grpo.verl.rows import write_rows
from percasym.judgement import FIELDS
from percasym.models import load
from percasym.models.prompting import Sample, encode
from percasym.rewards import parse_reward
from percasym.scoring import score_responses

pytestmark = pytest.mark.verl

GROUPS, SIZE, LONGEST = 3, 4, 7
Normalisation = Literal["grpo", "dr_grpo", "dapo"]
NORMALISATIONS: tuple[Normalisation, ...] = ("grpo", "dr_grpo", "dapo")


@pytest.fixture
def rewards() -> Tensor:
    rewards = torch.rand(GROUPS, SIZE, generator=torch.Generator().manual_seed(0))
    rewards[1] = 0.5  # a group without spread
    return rewards


def verl_advantages(rewards: Tensor, mask: Tensor, by_deviation: bool) -> Tensor:
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    at_the_end = torch.zeros_like(mask)
    at_the_end[torch.arange(len(mask)), mask.sum(dim=1).long() - 1] = rewards.flatten()
    found, _ = get_adv_estimator_fn("grpo")(
        token_level_rewards=at_the_end,
        response_mask=mask,
        index=np.repeat(np.arange(GROUPS), SIZE),
        norm_adv_by_std_in_grpo=by_deviation,
    )
    return found


@pytest.fixture
def mask() -> Tensor:
    lengths = torch.randint(1, LONGEST + 1, (GROUPS * SIZE,), generator=torch.Generator().manual_seed(1))
    lengths[0] = LONGEST
    return (torch.arange(LONGEST) < lengths[:, None]).float()


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_advantages(rewards: Tensor, mask: Tensor, normalisation: Normalisation) -> None:
    theirs = verl_advantages(rewards, mask, by_deviation=normalisation != "dr_grpo")
    ours = group_advantages(rewards, normalisation).flatten()[:, None] * mask
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_loss_and_its_gradient(rewards: Tensor, mask: Tensor, normalisation: Normalisation) -> None:
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.workers.config import FSDPActorConfig

    draw = torch.Generator().manual_seed(2)
    old = -torch.rand(mask.shape, generator=draw)
    new = (old + 0.5 * torch.randn(mask.shape, generator=draw)).requires_grad_()
    advantages = group_advantages(rewards, normalisation).flatten()[:, None].expand_as(mask)
    config = FSDPActorConfig(
        strategy="fsdp2",
        rollout_n=SIZE,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=0.2,
        clip_ratio_high=0.28,
        clip_ratio_c=NO_DUAL_CLIP,
        loss_scale_factor=9,
    )
    config.global_batch_info["loss_scale_factor"] = 9
    theirs, _ = get_policy_loss_fn("vanilla")(
        old_log_prob=old,
        log_prob=new,
        advantages=advantages,
        response_mask=mask,
        loss_agg_mode=AGGREGATION[normalisation],
        config=config,
    )
    theirs.backward()
    expected, new.grad = new.grad, None
    weights = token_weights(mask.sum(dim=1), normalisation, 9)[:, None]
    ours = (policy_loss(new, old, advantages, 0.2, 0.28).loss * weights * mask).sum()
    ours.backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(new.grad, expected)


def test_divergence() -> None:
    from verl.trainer.ppo.core_algos import kl_penalty

    draw = torch.Generator().manual_seed(3)
    new, reference = -torch.rand(50, generator=draw), -torch.rand(50, generator=draw)
    torch.testing.assert_close(divergence(new, reference), kl_penalty(new, reference, "low_var_kl"))


@pytest.fixture
def tree(rl: GRPOConfig, dataset: Path) -> Any:
    """verl's settings, with its rows written."""
    from hydra import compose, initialize_config_module

    config = VerlConfig.model_validate({**rl.model_dump(), "reward": "perception_aware:0.5"})
    (config.out / "verl").mkdir(parents=True)
    write_rows(config.dataset, config.split, config.out / "verl" / "rows.parquet")
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides(config, 8, on_gpu=False))


def test_prompts_are_the_same_tokens(tree: Any, rl: GRPOConfig) -> None:
    from verl.trainer.ppo.utils import create_rl_dataset
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.dataset.rl_dataset import RLHFDataset
    from verl.utils.tokenizer import build_multimodal_processor_inputs

    model = omega_conf_to_dataclass(tree.actor_rollout_ref.model)
    theirs = create_rl_dataset(
        tree.data.train_files, tree.data, model.tokenizer, model.processor, is_train=True
    )
    rows = read_split(rl.dataset, rl.split)
    _, processor = load(rl.model)
    assert len(theirs) == len(rows)
    for number in range(3):
        prompt = list(theirs[number]["raw_prompt"])
        images, videos, audio = asyncio.run(
            RLHFDataset.process_multi_modal_info(
                prompt, image_patch_size=tree.data.image_patch_size, config=tree.data
            )
        )
        text = model.processor.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        found = build_multimodal_processor_inputs(
            model.processor, text=[text], images=images, videos=videos, audio=audio, mm_processor_kwargs={}
        )
        ours = encode(
            processor, [Sample(rows[number]["query"], rows[number]["image"])], padding="left"
        ).inputs
        assert list(map(int, found["input_ids"][0])) == ours["input_ids"][0].tolist()
        torch.testing.assert_close(torch.as_tensor(found["pixel_values"]), ours["pixel_values"])


def test_a_response_has_one_score_everywhere(tree: Any, rl: GRPOConfig, tmp_path: Path) -> None:
    """The same rollouts by verl's reward path, by the embedded engine and by `percasym score`."""
    from tensordict import TensorDict
    from verl import DataProto
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    rows = read_split(rl.dataset, rl.split)
    model, processor = load(rl.model)
    reward = parse_reward("perception_aware:0.5")
    engine = TransformersEngine(model, processor, 16)
    groups = roll_out(engine, list(rows), 2, Sampling(temperature=1.0, max_tokens=60, seed=1), reward)
    worker = RewardLoopWorker(tree)
    by_id = {row["id"]: (index, row) for index, row in enumerate(rows)}
    for rollout in (rollout for group in groups for rollout in group):
        index, row = by_id[rollout.id]
        response, prompt = torch.tensor([rollout.ids]), torch.tensor([[1]])
        whole = torch.cat([prompt, response], dim=1)
        tensors = {"prompts": prompt, "responses": response, "input_ids": whole}
        data = DataProto(
            batch=TensorDict({**tensors, "attention_mask": torch.ones_like(whole)}, batch_size=1),
            non_tensor_batch={
                "data_source": np.array(["percasym"], dtype=object),
                "reward_model": np.array([{"ground_truth": row["ground_truth"]}], dtype=object),
                "extra_info": np.array(
                    [{"index": index, "id": row["id"], "puzzle": row["puzzle"]}], dtype=object
                ),
                "__num_turns__": np.array([2]),
            },
        )
        theirs = worker.loop.run_until_complete(worker.compute_score(data))
        record = rollout.record(0)
        assert theirs["reward_score"] == record["reward"]
        for field, value in theirs["reward_extra_info"].items():
            assert value == record["reward" if field == "score" else field], field

    firsts = [group[0] for group in groups]
    lines = [json.dumps({"id": rollout.id, "response": rollout.prefix + rollout.text}) for rollout in firsts]
    (tmp_path / "responses.jsonl").write_text("\n".join(lines))
    write_dataset(tmp_path / "data", {"test": [{**row, "image": None} for row in rows]})
    scored = score_responses(tmp_path / "data", tmp_path / "responses.jsonl", "test")
    for rollout, row in zip(firsts, scored, strict=True):
        assert row["id"] == rollout.id
        assert {field: row[field] for field in FIELDS} == {
            field: getattr(rollout.judged, field) for field in FIELDS
        }
