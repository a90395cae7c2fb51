"""Which engine generates, and how it is laid out on the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from percasym.engines.base import Engine

KEY = "PERCASYM_API_KEY"  # an own variable: a key of OpenAI's must not go to whichever server is named

EngineName = Literal["transformers", "vllm", "server"]


class EngineLayout(BaseModel, frozen=True, extra="forbid"):
    """What generates, and how it is laid out on the machine. No text depends on it, up to rounding."""

    engine: EngineName = Field(
        default="transformers",
        description="transformers: in this process; vllm: likewise; server: over HTTP, one of vLLM's that is "
        "started for it if no address is given",
    )
    batch_size: int = Field(
        default=64, gt=0, description="Responses that one copy of the model generates at a time"
    )
    tensor_parallel: int = Field(
        default=1, gt=0, description="GPUs that share one copy of the model, in vLLM"
    )
    data_parallel: int = Field(default=1, gt=0, description="Copies of the model, in vLLM")
    context: int = Field(
        default=0, ge=0, description="Longest sequence in vLLM, in tokens; 0: the model's own"
    )
    gpu_memory: float = Field(default=0.9, gt=0, lt=1, description="Share of a GPU's memory that vLLM takes")
    patience: float = Field(default=600, gt=0, description="Seconds that one answer of a server may take")
    retries: int = Field(
        default=6, ge=0, description="Times that a request is repeated when its server fails, ever later"
    )


class EngineConfig(EngineLayout, frozen=True):
    """A model, and what generates with it."""

    model: str = Field(description="Checkpoint: a folder, or a Hub id like owner/name")
    server: str = Field(
        default="",
        description="Address of a server that speaks OpenAI's protocol, as http://127.0.0.1:8000/v1",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Arithmetic; auto: as saved on a GPU, float32 on a CPU"
    )
    threads: int | None = Field(default=None, gt=0, description="CPU threads; by default torch's choice")

    @property
    def at_once(self) -> int:
        """Requests that are on their way at a time."""
        return self.batch_size * self.data_parallel

    @model_validator(mode="after")
    def _address_fits(self) -> Self:
        if self.server and self.engine != "server":
            raise ValueError("server= is an address for engine=server")
        if "@" in self.server:
            raise ValueError(f"server: no passwords in addresses; a key goes into {KEY}")
        return self


@contextmanager
def open_engine(config: EngineConfig, own: bool = False) -> Iterator[Engine]:
    """The engine of `config`, and whatever it has to start, for as long as it is needed.

    A server that the config names gets the key in the variable PERCASYM_API_KEY, if there is one.

    Args:
        own: whether the server that the config names is one of ours, which gets no key.

    Raises:
        PercasymError: the model is not there or cannot be loaded; vLLM is not installed; the server cannot be
            reached, refuses the key, or does not have the model.
    """
    if config.engine == "vllm":
        from percasym.engines.vllm import vllm_engine

        with vllm_engine(config) as engine:
            yield engine
    elif config.engine == "server":
        from percasym.engines.server import server_engine
        from percasym.engines.serving import serving

        if config.server:
            key = "" if own else os.environ.get(KEY, "")
            with server_engine(config, config.server, key) as engine:
                yield engine
        else:
            with serving(config) as address, server_engine(config, address) as engine:
                yield engine
    else:
        import torch

        from percasym.engines.transformers import TransformersEngine
        from percasym.models import load

        if config.threads:
            torch.set_num_threads(config.threads)
        yield TransformersEngine(*load(config.model, dtype=config.precision), batch_size=config.batch_size)
