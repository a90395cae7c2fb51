"""A CPU platform for verl 0.9.1, registered by its own hook: VERL_USE_EXTERNAL_MODULES and VERL_PLATFORM=cpu.

Ray is told of one GPU that there is not, since verl places its workers by GPUs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

import torch
import verl.utils.distributed
import verl.utils.import_utils
from verl.plugin.platform import PlatformBase, PlatformRegistry


def _device_module() -> ModuleType:
    """What verl calls of torch.cuda, for the CPU."""
    module = ModuleType("percasym_cpu_device")
    for name in ("Event", "Stream", "current_stream", "is_initialized", "stream"):
        setattr(module, name, getattr(torch.cpu, name))
    for name in (
        *("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"),
        *("set_device", "synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats"),
    ):
        setattr(module, name, lambda *args, **kwargs: 0)
    functions = {
        "is_available": lambda: False,  # "no accelerator": no statistics of its memory
        "device_count": lambda: 1,
        "current_device": lambda: torch.device("cpu"),
        "mem_get_info": lambda *args, **kwargs: (0, 0),
        "get_device_name": lambda *args, **kwargs: "CPU",
        "get_rng_state": lambda *args, **kwargs: torch.get_rng_state(),
        "set_rng_state": lambda state, *args, **kwargs: torch.set_rng_state(state),
    }
    for name, function in functions.items():
        setattr(module, name, function)
    return module


_MODULE = _device_module()


@PlatformRegistry.register(platform="cpu")
class CPUPlatform(PlatformBase):  # type: ignore[misc]
    """verl's interface to a device, where the device is the CPU."""

    device_name = "cpu"
    vendor_name = "generic"
    device_module = _MODULE

    def is_available(self) -> bool:
        return True

    def current_device(self) -> torch.device:
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_resource_options(self, num_gpus: float) -> dict[str, Any]:
        return {"num_gpus": num_gpus}

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False  # so weights go to vLLM through shared memory

    def cudart(self) -> None: ...


# verl asks torch for the backend "cpu:gloo,cpu:gloo", which torch refuses as a device named twice.
_connect = verl.utils.distributed.initialize_global_process_group_ray


@wraps(_connect)
def _connect_by_gloo(timeout_second: int | None = None, backend: str | None = None) -> Any:
    return _connect(timeout_second=timeout_second, backend=backend or "gloo")


verl.utils.distributed.initialize_global_process_group_ray = _connect_by_gloo

# verl imports a class from trl, wherever there is a trl, that its later versions no longer have.
verl.utils.import_utils.is_trl_available = lambda: False
