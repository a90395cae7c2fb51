"""Our config as overrides of verl's own tree of settings (its `trainer/config/ppo_trainer.yaml`).

Traps that this file steps around, all silent in verl 0.9.1:
- `clip_ratio` alone does nothing: the loss reads `clip_ratio_low` and `clip_ratio_high`;
- `actor.freeze_vision_tower` is read by nothing: a plugin freezes the tower;
- the top-level `custom_reward_function` is ignored: it belongs under `reward`;
- the actor and the reference model each have a precision of their own;
- if MLflow cannot be reached, verl goes on without it: so verl writes a file, which we follow.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from percasym.grpo.verl.config import VerlConfig

ACTOR, ROLLOUT, REF = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "ref"))
PLUGINS = "percasym.grpo.verl.plugins"

# How a loss is averaged: see `percasym.grpo.advantages.token_weights`.
AGGREGATION = {"grpo": "seq-mean-token-mean", "dr_grpo": "seq-mean-token-sum-norm", "dapo": "token-mean"}
NO_DUAL_CLIP = (
    1e9  # verl bounds ratios of bad responses once more (arXiv 1912.09729); the embedded engine does not
)


class Files:
    """Where verl reads and writes, below the folder of a run."""

    def __init__(self, out: Path) -> None:
        self.folder = (out / "verl").resolve()
        self.rows = self.folder / "rows.parquet"
        self.metrics = self.folder / "metrics.jsonl"
        self.rollouts = self.folder / "rollouts"
        self.checkpoints = self.folder / "checkpoints"
        self.failures = self.folder / "failure.txt"
        self.merged = self.folder / "merged"
        self.log = self.folder / "verl.log"


def overrides(config: VerlConfig, rows: int, on_gpu: bool) -> list[str]:
    """The arguments of `python -m verl.trainer.main_ppo`.

    Args:
        rows: of the split that is trained on.
        on_gpu: whether there are GPUs; else everything runs on the CPU, as slow as that is.
    """
    files = Files(config.out)
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if on_gpu else "float32"
    settings = {
        **_data(config, files),
        **_algorithm(config),
        **_model(config, precision),
        **_rollouts(config, precision),
        **_reward(config, files),
        **_trainer(config, files, rows),
        **({} if on_gpu else _on_the_cpu(config)),
    }
    return [f"{name}={_text(value)}" for name, value in settings.items()] + list(config.overrides)


def environment(config: VerlConfig, on_gpu: bool) -> dict[str, str]:
    """What verl's processes find in their environment."""
    names = {
        "VERL_FILE_LOGGER_PATH": str(Files(config.out).metrics),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
    }
    if not config.train_vision:
        names["PERCASYM_FREEZE_VISION"] = "1"
    plugins = [] if AutoTokenizer.from_pretrained(config.model).encode("\n") else [f"{PLUGINS}.turns"]
    if not on_gpu:
        plugins.append(f"{PLUGINS}.platform")
        names |= {
            "VERL_PLATFORM": "cpu",
            "RAY_worker_niceness": "0",  # of 15, workers starve beside anything else on the same cores
            "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }
    return {**names, "VERL_USE_EXTERNAL_MODULES": ",".join(plugins)} if plugins else names


def _data(config: VerlConfig, files: Files) -> dict[str, Any]:
    vision = AutoConfig.from_pretrained(config.model).vision_config
    return {
        "data.train_files": str(files.rows),
        "data.val_files": str(files.rows),  # wanted, though verl validates nothing here
        "data.train_batch_size": config.prompts,
        "data.max_prompt_length": config.max_prompt_tokens,
        "data.max_response_length": config.max_new_tokens,
        "data.image_patch_size": _one(vision.patch_size),
        "data.seed": config.seed,
        "data.dataloader_num_workers": 0,
    }


def _algorithm(config: VerlConfig) -> dict[str, Any]:
    return {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": config.normalisation != "dr_grpo",
        "algorithm.use_kl_in_reward": False,
        f"{ACTOR}.loss_agg_mode": AGGREGATION[config.normalisation],
        f"{ACTOR}.loss_scale_factor": config.max_new_tokens,
        f"{ACTOR}.clip_ratio_low": config.clip_low,
        f"{ACTOR}.clip_ratio_high": config.clip_high,
        f"{ACTOR}.clip_ratio_c": NO_DUAL_CLIP,
        f"{ACTOR}.use_kl_loss": config.kl > 0,
        f"{ACTOR}.kl_loss_coef": config.kl,
        f"{ACTOR}.kl_loss_type": "low_var_kl",  # k3
        f"{ACTOR}.ppo_epochs": config.updates,
        f"{ACTOR}.ppo_mini_batch_size": config.prompts,
        f"{ACTOR}.ppo_micro_batch_size_per_gpu": config.micro_batch_size,
        f"{ACTOR}.data_loader_seed": config.seed,
        f"{ACTOR}.optim.lr": config.learning_rate,
        f"{ACTOR}.optim.lr_warmup_steps": config.warmup_steps,
        f"{ACTOR}.optim.lr_scheduler_type": config.schedule,
        f"{ACTOR}.optim.min_lr_ratio": 0.05,
        f"{ACTOR}.optim.weight_decay": config.weight_decay,
        f"{ACTOR}.optim.betas": [0.9, config.adam_beta2],
        f"{ACTOR}.optim.clip_grad": config.max_grad_norm,
        f"{REF}.log_prob_micro_batch_size_per_gpu": config.micro_batch_size,
    }


def _model(config: VerlConfig, precision: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "actor_rollout_ref.model.path": config.model,
        "actor_rollout_ref.model.external_lib": f"{PLUGINS}.engine",
        f"{ACTOR}.strategy": "fsdp2",
        f"{REF}.strategy": "fsdp2",
        f"{ACTOR}.fsdp_config.param_offload": config.offload,
        f"{ACTOR}.fsdp_config.optimizer_offload": config.offload,
        f"{REF}.fsdp_config.param_offload": config.offload,
    }
    if precision == "float32":
        for role in (ACTOR, REF):
            for part in ("param", "reduce", "buffer"):
                settings[f"+{role}.fsdp_config.mixed_precision.{part}_dtype"] = "fp32"
    return settings


def _rollouts(config: VerlConfig, precision: str) -> dict[str, Any]:
    return {
        f"{ROLLOUT}.name": "vllm",
        f"{ROLLOUT}.n": config.group_size,
        f"{ROLLOUT}.temperature": config.temperature,
        f"{ROLLOUT}.seed": config.seed,
        f"{ROLLOUT}.tensor_model_parallel_size": config.tensor_parallel,
        f"{ROLLOUT}.gpu_memory_utilization": config.gpu_memory,
        f"{ROLLOUT}.max_model_len": config.max_prompt_tokens + config.max_new_tokens,
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": config.micro_batch_size,
        f"{ROLLOUT}.dtype": precision,
        f"+{ROLLOUT}.limit_images": 1,
    }


def _reward(config: VerlConfig, files: Files) -> dict[str, Any]:
    function = "reward.custom_reward_function"
    return {
        f"{function}.path": "pkg://percasym.grpo.verl.reward",
        f"{function}.name": "compute_score",
        f"+{function}.reward_kwargs.reward": config.reward,
        f"+{function}.reward_kwargs.failures": str(files.failures),
    }


def _trainer(config: VerlConfig, files: Files, rows: int) -> dict[str, Any]:
    return {
        "trainer.project_name": "percasym",
        "trainer.experiment_name": "grpo",
        "trainer.logger": ["console", "file"],
        "trainer.n_gpus_per_node": config.gpus,
        "trainer.nnodes": config.nodes,
        "trainer.total_training_steps": config.steps,
        "trainer.total_epochs": -(-config.steps // (rows // config.prompts)),
        "trainer.val_before_train": False,
        "trainer.test_freq": -1,
        "trainer.save_freq": config.checkpoint_every,
        "trainer.default_local_dir": str(files.checkpoints),
        "trainer.max_actor_ckpt_to_keep": 2,  # of 1, verl removes the old one before the new one is whole
        "trainer.resume_mode": "auto",
        "trainer.rollout_data_dir": str(files.rollouts),
        "hydra.run.dir": str(files.folder / "hydra"),
    }


def _on_the_cpu(config: VerlConfig) -> dict[str, Any]:
    """Two cores do what GPUs would: one worker of each kind, gloo, and vLLM for the CPU."""
    return {
        "trainer.device": "cpu",
        "actor_rollout_ref.model.use_remove_padding": False,  # it wants flash attention
        "actor_rollout_ref.model.enable_gradient_checkpointing": False,
        "+actor_rollout_ref.model.override_config.attn_implementation": "sdpa",
        f"{ACTOR}.use_torch_compile": False,
        f"{ACTOR}.fsdp_config.use_torch_compile": False,
        f"{REF}.use_torch_compile": False,
        f"{REF}.fsdp_config.use_torch_compile": False,
        f"{ROLLOUT}.enforce_eager": True,
        f"{ROLLOUT}.free_cache_engine": False,
        f"+{ROLLOUT}.enable_sleep_mode": False,
        f"{ROLLOUT}.max_num_seqs": min(64, config.prompts * config.group_size),
        f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes": 64,
        f"{ROLLOUT}.agent.num_workers": 1,
        f"+{ROLLOUT}.engine_kwargs.vllm.worker_extension_cls": f"{PLUGINS}.rollout.CPUWorkerExtension",
        "reward.num_workers": 1,
        "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
        "transfer_queue.backend.SimpleStorage.total_storage_size": 1000,
        "ray_kwargs.ray_init.num_cpus": 16,  # logical ones: verl's actors each want some
        "+ray_kwargs.ray_init.num_gpus": 1,
        "+ray_kwargs.ray_init.include_dashboard": False,
        "+ray_kwargs.ray_init.object_store_memory": 500_000_000,
    }


def _one(size: Any) -> int:
    """A patch size that some models give as (height, width)."""
    return int(size[0] if isinstance(size, list | tuple) else size)


def _text(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, Mapping):
        raise TypeError(value)
    return json.dumps(value)
