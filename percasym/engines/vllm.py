"""vLLM in this process: its asynchronous engine, which unlike `vllm.LLM` can run copies of a model."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from percasym.engines.base import Completion, Request, Sampling
from percasym.engines.concurrent import complete
from percasym.engines.config import EngineConfig
from percasym.engines.serving import engine_arguments, vllm_environment
from percasym.errors import PercasymError
from percasym.models import load_writer, sees
from percasym.models.prompting import prompt_text
from percasym.seeding import digest


class VLLMEngine:
    """Generates with vLLM, whose prefix cache lets both requests to one image share its encoding."""

    def __init__(
        self,
        engine: Any,
        writer: ProcessorMixin | PreTrainedTokenizerBase,
        at_once: int,
        runner: asyncio.Runner,
    ) -> None:
        self.engine = engine
        self.writer = writer
        self.tokenizer = writer.tokenizer if isinstance(writer, ProcessorMixin) else writer
        self.at_once = at_once
        self.runner = runner

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """The completions as they come.

        Raises:
            PercasymError: a prompt is longer than the model's context.
        """
        return complete(
            self.runner, requests, lambda request: self._complete(request, sampling), self.at_once
        )

    async def _complete(self, request: Request, sampling: Sampling) -> Completion:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        # In tokens, the prefix apart from the prompt, as the model has learnt it.
        texts = [prompt_text(self.writer, request.query, request.image is not None), request.prefix]
        tokens = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        prompt: dict[str, Any] = {"prompt_token_ids": list(chain(*tokens))}
        if request.image is not None:
            prompt["multi_modal_data"] = {"image": request.image}
        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=int(digest("completion", sampling.seed, request.id)[:8], 16) >> 1,
            stop=[sampling.stop] if sampling.stop else None,
            include_stop_str_in_output=True,
            logprobs=0 if sampling.log_probabilities else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        try:
            async for output in self.engine.generate(prompt, parameters, request.id):
                found = output.outputs[0]
        except ValueError as error:
            raise PercasymError(f"vLLM refuses {request.id}: {error}") from error
        ids = tuple(found.token_ids)
        told = [step[token].logprob for step, token in zip(found.logprobs or [], ids, strict=False)]
        reason: Literal["stop", "length"] = "length" if found.finish_reason == "length" else "stop"
        return Completion(request.id, found.text, len(ids), reason, ids, tuple(told))


@contextmanager
def vllm_engine(config: EngineConfig) -> Iterator[VLLMEngine]:
    """vLLM with the model of `config`; it takes a while to start.

    Raises:
        PercasymError: vLLM is not installed, or cannot load the model.
    """
    writer = load_writer(config.model)
    os.environ |= {**vllm_environment(config), **os.environ}
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    with asyncio.Runner() as runner:
        try:
            engine = AsyncLLM.from_engine_args(
                AsyncEngineArgs(**engine_arguments(config, sees(config.model)))
            )
        except Exception as error:
            raise PercasymError(f"vLLM cannot load {config.model}: {_first_line(error)}") from error
        try:
            yield VLLMEngine(engine, writer, config.at_once, runner)
        finally:
            engine.shutdown()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
