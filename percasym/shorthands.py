"""Settings by shorter or older names, each for one setting or for that of several trainers.

`sft_steps=300` is `sft.steps=300`; `lora_rank=8` is set for fine-tuning and for reinforcement learning.
"""

from collections.abc import Mapping
from typing import Any

from percasym.errors import PercasymError
from percasym.miniature import MiniatureSize

SHORTHANDS: dict[str, tuple[str, ...]] = {
    **{name: (f"miniature.{name}",) for name in MiniatureSize.model_fields},
    **{
        f"pretrain_{name}": (f"pretrain.{name}",)
        for name in ("options", "items", "batch_size", "steps", "target", "learning_rate")
    },
    "sft_steps": ("sft.steps",),
    "batch_size": ("sft.batch_size",),
    "learning_rate": ("sft.learning_rate",),
    "warmup_steps": ("sft.warmup_steps", "pretrain.warmup_steps"),
    "log_every": ("sft.log_every", "pretrain.log_every"),
    "precision": ("sft.precision", "grpo.precision", "pretrain.precision"),
    "train_vision": ("sft.train_vision", "grpo.train_vision"),
    "lora_rank": ("sft.lora_rank", "grpo.lora_rank"),
    "validate_every": ("sft.validate_every", "grpo.validate_every"),
    "validation_limit": ("sft.validation_items", "grpo.validation_items"),
    **{
        f"rl_{name}": (f"grpo.{name}",)
        for name in (
            *("steps", "prompts", "learning_rate", "temperature", "kl", "clip_low", "clip_high"),
            *("normalisation", "credit", "engine", "overrides"),
        )
    },
    "rl_group_size": ("grpo.group_size", "audit.group_size"),
    "rl_audit_items": ("audit.items",),
    "engine": ("inference.engine",),
    "tensor_parallel": ("inference.tensor_parallel",),
    "data_parallel": ("inference.data_parallel",),
    "eval_batch_size": ("inference.batch_size",),
}


def written_out(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with the names of the settings that shorthands stand for, each group of settings a mapping.

    What stands there by its own name goes before what stands there by a shorthand.

    Raises:
        PercasymError: a setting of a group, and the group itself is no mapping.
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        for path in SHORTHANDS.get(name, ()):
            place(found, path, value)
    for name, value in fields.items():
        if name not in SHORTHANDS:
            place(found, name, value)
    return found


def place(fields: dict[str, Any], path: str, value: Any) -> None:
    """Sets what a path such as "sft.steps" names; a mapping is added to the one that is there.

    Raises:
        PercasymError: the path leads through what is no mapping.
    """
    group, dot, rest = path.partition(".")
    if not dot:
        fields |= merged({group: fields.get(group)}, {group: value})
        return
    inner = fields.setdefault(group, {})
    if not isinstance(inner, dict):
        raise PercasymError(f"{path}={value!r}: {group} is {inner!r} already")
    place(inner, rest, value)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of both; of what both have, that of `new`, of mappings the fields of both."""
    fields = dict(old)
    for name, value in new.items():
        there = fields.get(name)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            fields[name] = merged(there, value)
        else:
            fields[name] = value
    return fields
