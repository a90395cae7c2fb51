"""What a machine has: GPUs, cores, memory, free disk."""

import os
import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil

DRIVER = Path("/proc/driver/nvidia/version")
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


@dataclass(frozen=True)
class GPU:
    name: str
    memory: int
    """Bytes."""


@dataclass(frozen=True)
class Machine:
    """What there is, in bytes."""

    gpus: tuple[GPU, ...]
    driver: str
    """Version of the NVIDIA driver; "" for none."""
    cores: int
    memory: int
    """In all, or what the container may have of it."""
    available: int
    """What of the machine's memory is not in use now."""


def this_machine() -> Machine:
    """What this process can use. Without a driver torch is not asked for GPUs: its import takes seconds."""
    driver = _driver()
    memory = psutil.virtual_memory()
    return Machine(
        gpus=_gpus() if driver else (),
        driver=driver,
        cores=len(os.sched_getaffinity(0)),
        memory=min(memory.total, _limit()),
        available=memory.available,
    )


def free_space(folder: Path) -> int:
    """Free bytes where `folder` is, or would be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _driver() -> str:
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", DRIVER.read_text())
    except OSError:  # Windows' Linux has a driver without that file
        return "of unknown version" if shutil.which("nvidia-smi") else ""
    return found[0] if found else "of unknown version"


def _gpus() -> tuple[GPU, ...]:
    import torch

    with warnings.catch_warnings():  # an old driver is a warning there, and a line of ours
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return ()
        found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return tuple(GPU(one.name, one.total_memory) for one in found)


def _limit() -> float:
    try:
        return float(MEMORY_LIMIT.read_text())
    except (OSError, ValueError):  # none, or "max"
        return float("inf")
