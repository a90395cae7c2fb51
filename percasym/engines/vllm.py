"""vLLM in this process: its asynchronous engine, which unlike `vllm.LLM` can run copies of a model."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isnan
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from percasym.engines.base import Completion, Request, Sampling, not_finite
from percasym.engines.concurrent import complete
from percasym.engines.config import EngineConfig
from percasym.engines.serving import engine_arguments, vllm_environment
from percasym.errors import PercasymError
from percasym.models import load_writer, takes_images
from percasym.models.prompting import prompt_text, thought_opening, written_text
from percasym.response import continued, until
from percasym.seeding import digest


class VLLMEngine:
    """Generates with vLLM, whose prefix cache lets both requests to one image share its encoding."""

    def __init__(
        self,
        engine: Any,
        name: str,
        writer: ProcessorMixin | PreTrainedTokenizerBase,
        at_once: int,
        runner: asyncio.Runner,
    ) -> None:
        self.engine = engine
        self.name = name
        self.writer = writer
        self.opening = thought_opening(writer)
        self.checked = False
        self.tokenizer = writer.tokenizer if isinstance(writer, ProcessorMixin) else writer
        self.at_once = at_once
        self.runner = runner

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """The completions as they come.

        Raises:
            PercasymError: a prompt is longer than the model's context, or the logits are not finite.
        """
        return complete(
            self.runner, requests, lambda request: self._complete(request, sampling), self.at_once
        )

    async def _complete(self, request: Request, sampling: Sampling) -> Completion:
        # In tokens, the prefix apart from the prompt, as the model has learnt it.
        begun = continued(self.opening, request.prefix)
        texts = [prompt_text(self.writer, request.query, request.image is not None), begun]
        prompt, given = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        ids: list[int] = []
        told: list[float] = []
        while True:
            found = await self._generated(request, sampling, [*prompt, *given, *ids], len(ids))
            ids += found.token_ids
            steps = zip(found.logprobs or [], found.token_ids, strict=False)
            told += [step[token].logprob for step, token in steps]
            text = written_text(self.tokenizer, given, ids)
            text = text if request.prefix else self.opening + text
            # What vLLM stopped at may stand in a thought; its cache has all that came before.
            goes_on = found.stop_reason == sampling.stop and len(ids) < sampling.max_tokens
            cut = until(text, sampling.stop, ended=not goes_on)
            if cut is not None or not goes_on:
                break
        if any(map(isnan, told)):
            raise not_finite(self.name)
        self.checked = True
        ended = found.finish_reason == "stop" and found.stop_reason != sampling.stop
        reason: Literal["stop", "length"] = "stop" if ended or cut is not None else "length"
        probabilities = tuple(told) if sampling.log_probabilities else ()
        return Completion(request.id, cut or text, len(ids), reason, tuple(ids), probabilities)

    async def _generated(self, request: Request, sampling: Sampling, tokens: list[int], done: int) -> Any:
        """What vLLM makes of a prompt of which the last `done` tokens are already the model's own."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        prompt: dict[str, Any] = {"prompt_token_ids": tokens}
        if request.image is not None:
            prompt["multi_modal_data"] = {"image": request.image}
        stream = ("completion", sampling.seed, request.id, *([done] if done else []))
        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens - done,
            seed=int(digest(*stream)[:8], 16) >> 1,
            stop=[sampling.stop] if sampling.stop else None,
            include_stop_str_in_output=True,
            # That logits are not finite shows in nothing else; to look at the first completions is enough.
            logprobs=0 if sampling.log_probabilities or not self.checked else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        try:
            async for output in self.engine.generate(prompt, parameters, f"{request.id}/{done}"):
                found = output.outputs[0]
        except ValueError as error:
            raise PercasymError(f"vLLM refuses {request.id}: {error}") from error
        return found


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
                AsyncEngineArgs(**engine_arguments(config, takes_images(config.model)))
            )
        except Exception as error:
            raise PercasymError(f"vLLM cannot load {config.model}: {_first_line(error)}") from error
        try:
            yield VLLMEngine(engine, config.model, writer, config.at_once, runner)
        finally:
            engine.shutdown()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
