"""What each preset takes of a machine. The arithmetic is in docs/lifecycle.md and docs/scale.md."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from percasym.home import Home
from percasym.lifecycle.machine import Machine, free_space
from percasym.presets import load_preset

GB = 10**9


@dataclass(frozen=True)
class Size:
    """Bytes, but for `gpus`."""

    gpus: int = 0
    gpu_memory: int = 0
    memory: int = 0
    disk: int = 0
    """Under the home folder."""
    hub: int = 0
    """In the cache of the model hub."""
    note: str = ""


SIZES = {
    "tiny": Size(memory=3 * GB, disk=1 * GB),
    "mini": Size(memory=4 * GB, disk=1 * GB),
    "gpu-mini": Size(gpus=1, memory=8 * GB, disk=5 * GB, note="has not been run yet"),
    "paper": Size(
        gpus=8,
        gpu_memory=80 * GB,
        memory=140 * GB,
        disk=530 * GB,
        hub=84 * GB,
        note="has not been run yet; its longest responses want more than 80 GB (docs/scale.md)",
    ),
}


def shortages(preset: str, machine: Machine, home: Home) -> tuple[list[str], list[str]]:
    """(what the machine has too little of for a preset, what else to know)."""
    size, short, notes = SIZES[preset], [], []
    large = [gpu for gpu in machine.gpus if gpu.memory >= size.gpu_memory]
    if len(large) < size.gpus:
        kind = f" of {gigabytes(size.gpu_memory)}" if size.gpu_memory else ""
        short.append(f"{size.gpus} GPU{'s' * (size.gpus > 1)}{kind}, here are {len(large)}")
    if machine.memory < size.memory:
        short.append(f"{gigabytes(size.memory)} of memory, here are {gigabytes(machine.memory)}")
    models = [model for model in hub_models(preset) if not (hub_cache() / _folder(model)).exists()]
    wanted = {home.root: size.disk, hub_cache(): size.hub if models else 0}
    for folder, disk in wanted.items():
        if free_space(folder) < disk:
            short.append(
                f"{gigabytes(disk)} of disk under {folder}, free are {gigabytes(free_space(folder))}"
            )
    if models:
        notes.append(f"downloads {' and '.join(models)}")
    return short, [*notes, *([size.note] if size.note else [])]


@cache
def wants(preset: str) -> frozenset[str]:
    """The optional packages that a preset cannot do without: vllm, verl, ray, dask."""
    config = load_preset(preset)
    phases = [model.phase for model in config.models]
    verl = any(one.trainer == "grpo" and config.of(one).grpo.engine == "verl" for one in phases)
    teacher = bool(config.teacher) and not config.teacher_server
    vllm = verl or teacher or config.inference.engine in ("vllm", "server")
    return frozenset(
        name
        for name, wanted in (
            ("vllm", vllm),
            ("verl", verl),
            ("ray", config.runner == "ray"),
            ("dask", config.runner == "dask"),
        )
        if wanted
    )


def hub_models(preset: str) -> list[str]:
    """The models that a preset takes from the hub."""
    config = load_preset(preset)
    return [model for model in (config.model, config.teacher) if model and not Path(model).is_dir()]


def hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def gigabytes(size: float) -> str:
    return f"{size / GB:.0f} GB" if size >= GB else f"{size / 1e6:.0f} MB"


def _folder(model: str) -> str:
    return f"models--{model.replace('/', '--')}"
