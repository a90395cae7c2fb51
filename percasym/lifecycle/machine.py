"""What a machine has: GPUs, cores and what they can compute, memory, free disk."""

import os
import platform
import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil

DRIVER = Path("/proc/driver/nvidia/version")
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bfloat16",
    "amx_bf16": "AMX bfloat16",
    "asimd": "NEON",
    "sve": "SVE",
    "bf16": "bfloat16",
}
"""By the flags of Linux, of x86 and then of ARM: what decides how fast matrices are multiplied."""
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


@dataclass(frozen=True)
class GPU:
    name: str
    memory: int
    """Bytes."""


@dataclass(frozen=True)
class CPU:
    name: str
    instructions: tuple[str, ...]
    """Of `INSTRUCTIONS`, those that it has."""

    @property
    def bfloat16(self) -> bool:
        """Whether it computes in bfloat16 itself; else that is emulated, many times slower than float32."""
        return any("bfloat16" in name for name in self.instructions)


@dataclass(frozen=True)
class Machine:
    """What there is, in bytes."""

    gpus: tuple[GPU, ...]
    driver: str
    """Version of the NVIDIA driver; "" for none."""
    cpu: CPU
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
        cpu=this_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory=min(memory.total, _limit()),
        available=memory.available,
    )


def this_cpu() -> CPU:
    """The processor, by what Linux says of it; elsewhere its name alone."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set((said.get("flags") or said.get("Features") or "").split())
    name = said.get("model name") or platform.processor() or platform.machine()
    return CPU(name, tuple(called for flag, called in INSTRUCTIONS.items() if flag in flags))


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
