"""Our overrides against verl's own tree of settings, and against its silent traps."""

import re
from pathlib import Path
from typing import Any

import pytest

from percasym.grpo.config import GRPOConfig
from percasym.grpo.verl.config import VerlConfig
from percasym.grpo.verl.overrides import environment, overrides

pytestmark = pytest.mark.verl


def tree(config: VerlConfig, on_gpu: bool) -> Any:
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides(config, 8, on_gpu))


def verl_config(rl: GRPOConfig, **changes: Any) -> VerlConfig:
    return VerlConfig.model_validate({**rl.model_dump(), **changes})


@pytest.mark.parametrize("on_gpu", [True, False])
def test_verl_takes_them(rl: GRPOConfig, on_gpu: bool) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = verl_config(rl, kl=0.01, clip_high=0.28, normalisation="dapo", learning_rate=1e-6)
    found = tree(config, on_gpu)
    assert need_reference_policy(found)
    assert not need_critic(found)
    validate_config(config=found, use_reference_policy=True, use_critic=False)
    actor = omega_conf_to_dataclass(found.actor_rollout_ref.actor)
    assert (actor.clip_ratio_low, actor.clip_ratio_high, actor.optim.lr) == (0.2, 0.28, 1e-6)
    assert (actor.kl_loss_coef, actor.loss_agg_mode) == (0.01, "token-mean")
    assert omega_conf_to_dataclass(found.actor_rollout_ref.rollout).n == config.group_size
    assert found.reward.custom_reward_function.reward_kwargs.reward == config.reward
    assert found.trainer.default_local_dir.startswith(str(config.out.resolve()))


def test_an_unknown_setting_is_refused(rl: GRPOConfig) -> None:
    with pytest.raises(Exception, match="group_size"):
        tree(verl_config(rl, overrides=("actor_rollout_ref.rollout.group_size=4",)), on_gpu=False)


@pytest.mark.parametrize("on_gpu", [True, False])
def test_every_setting_is_read_by_something(rl: GRPOConfig, on_gpu: bool) -> None:
    """verl has settings that nothing reads: a name of ours must be used beyond its own definition."""
    import verl

    sources = "\n".join(
        path.read_text() for path in Path(verl.__file__).parent.rglob("*.py") if "vllm_omni" not in path.parts
    )
    unread = []
    for override in overrides(verl_config(rl), 8, on_gpu):
        leaf = override.partition("=")[0].rpartition(".")[2]
        if override.startswith(("+ray_kwargs", "ray_kwargs", "hydra", "+reward", "transfer_queue")) or (
            "override_config" in override or "engine_kwargs" in override
        ):
            continue  # handed on as they are
        if not re.search(rf"\.{leaf}\b|[\"']{leaf}[\"']", sources):
            unread.append(leaf)
    assert unread == []
    assert not re.search(r"\.freeze_vision_tower\b|[\"']freeze_vision_tower[\"']", sources), (
        "verl reads freeze_vision_tower now: the plugin may be superfluous"
    )


def test_a_frozen_tower_is_asked_for_in_the_environment(rl: GRPOConfig) -> None:
    assert "PERCASYM_FREEZE_VISION" not in environment(verl_config(rl), on_gpu=True)
    assert environment(verl_config(rl, train_vision=False), on_gpu=True)["PERCASYM_FREEZE_VISION"] == "1"


def test_texts_survive_the_grammar_of_hydra(rl: GRPOConfig, tmp_path: Path) -> None:
    out = tmp_path / "it's a, {strange} = [path] $x"
    found = tree(verl_config(rl, out=out), on_gpu=False)
    assert found.trainer.default_local_dir == str(out.resolve() / "verl" / "checkpoints")
