"""An engine behind HTTP: any server that speaks OpenAI's protocol (vLLM's, SGLang's, a hosted one)."""

import asyncio
import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import openai

from percasym.engines.base import Completion, Request, Sampling, not_finite
from percasym.engines.concurrent import complete
from percasym.engines.config import KEY, EngineConfig
from percasym.errors import PercasymError
from percasym.images import encode_image
from percasym.models import load_writer
from percasym.models.prompting import thought_opening
from percasym.response import thinks, until
from percasym.seeding import digest

CONNECT_SECONDS = 10.0
NOT_FINITE = "Out of range float values"  # what vLLM says of log-probabilities that are NaN

# What servers understand beyond OpenAI's protocol, by the owner that they give their models: how to leave the
# stop text in, how to go on with a turn that is begun, and how to leave out what the checkpoint's
# generation_config asks for. Others get none of it. (SGLang's is from its documentation.)
CONTINUING = {"continue_final_message": True, "add_generation_prompt": False}
NEUTRAL = {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0}
DIALECTS: dict[str, dict[str, Any]] = {
    "vllm": {"include_stop_str_in_output": True, **NEUTRAL},
    "sglang": {"no_stop_trim": True, **NEUTRAL},
}


class ServerEngine:
    """Asks a server for many completions at a time; the server batches them as it can.

    A request is repeated, ever later, when the server cannot be reached, is too slow, answers 408, 409, 429
    or 5xx, or breaks off. When that does not help it fails with one line, and what has come is not lost:
    whoever keeps completions goes on from there.

    A server cannot be told that a stop text ends nothing in a thought, nor does it say whether its template
    begins one. So it gets no stop text before it has shown that its model does not think, by a whole turn
    without a thought; what comes is cut here. Once a thought comes after all, it gets none any more, and what
    was stopped within a thought is asked for again.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        model: str,
        owner: str,
        opening: str,
        at_once: int,
        runner: asyncio.Runner,
    ) -> None:
        """
        Args:
            owner: of the model, as the server names it.
            opening: of a thought, with which the model's chat template ends a prompt; "" if nobody knows.
        """
        self.client = client
        self.model = model
        self.dialect = DIALECTS.get(owner)
        self.at_once = at_once
        self.runner = runner
        self.opening = opening
        self.thinks = True if opening else None
        """None: it has not shown."""
        # That logits are NaN shows in log-probabilities alone: vLLM is asked for those of what comes first.
        self.checked = owner != "vllm"

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """The completions as they come.

        Raises:
            PercasymError: the server failed for good, refuses a request, or cannot continue a turn; its
                model's logits are not finite.
        """

        async def ask(request: Request) -> Completion:
            while True:
                stopping = self.thinks is False
                arguments = self._arguments(request, sampling, stopping)
                with _explained(self.client, self.model, request.id):
                    answer = await self.client.chat.completions.create(**arguments)
                self.checked = True
                text = _whole_text(request, answer, self.opening)
                cut = answer.choices[0].finish_reason == "length"
                stopped = until(text, sampling.stop)
                if thinks(text):
                    self.thinks = True
                elif self.thinks is None and not cut and not request.prefix:
                    self.thinks = False
                if not (stopping and self.thinks and stopped is None and not cut):
                    break
            completion = _completion(
                request, answer, stopped or text, "length" if cut and not stopped else "stop"
            )
            return completion if sampling.log_probabilities else replace(completion, log_probabilities=())

        return complete(self.runner, requests, ask, self.at_once)

    def _arguments(self, request: Request, sampling: Sampling, stopping: bool) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": request.query}]
        if request.image is not None:
            data = base64.b64encode(encode_image(request.image)).decode()
            content.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        # Without an image a plain text: templates of text models know no lists.
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": content if request.image else request.query}
        ]
        extra = dict(self.dialect or {})
        if request.prefix:
            if self.dialect is None:
                raise PercasymError(
                    f"the server {self.client.base_url} cannot go on with a turn that is begun, which a_r "
                    "takes: use vLLM or SGLang, or measure end to end alone (--modes end_to_end)"
                )
            messages.append({"role": "assistant", "content": request.prefix})
            extra |= CONTINUING
        arguments: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": int(digest("completion", sampling.seed, request.id)[:8], 16) >> 1,
            "extra_body": extra,
        }
        # A server that leaves the stop text out does not say whether it was written, so such a one writes on.
        if sampling.stop and stopping and self.dialect is not None:
            arguments["stop"] = [sampling.stop]
        if sampling.log_probabilities or not self.checked:
            arguments["logprobs"] = True
        return arguments


@contextmanager
def server_engine(config: EngineConfig, address: str, key: str = "") -> Iterator[ServerEngine]:
    """The engine of the server at `address`, once it has said that it has the model.

    Nothing is sent to another host: a server that sends a request on elsewhere has failed.

    Args:
        key: for this server and no other; "" if it wants none.

    Raises:
        PercasymError: it cannot be reached, refuses the key, or does not have the model.
    """
    timeout = openai.Timeout(config.patience, connect=CONNECT_SECONDS)
    with asyncio.Runner() as runner:
        client = openai.AsyncOpenAI(
            base_url=address,
            api_key=key or "none",
            timeout=timeout,
            max_retries=config.retries,
            http_client=openai.DefaultAsyncHttpxClient(timeout=timeout, follow_redirects=False),
        )
        try:
            owner = runner.run(_owner(client, config.model))
            # What template an address stands for nobody can ask it.
            opening = "" if config.server else thought_opening(load_writer(config.model))
            yield ServerEngine(client, config.model, owner, opening, config.at_once, runner)
        finally:
            runner.run(client.close())


async def _owner(client: openai.AsyncOpenAI, model: str) -> str:
    with _explained(client, model):
        models = {found.id: found.owned_by async for found in client.models.list()}
    if model not in models:
        some = ", ".join(sorted(models)[:5]) or "none"
        raise PercasymError(f"the server {client.base_url} has no model {model}: it has {some}")
    return models[model]


def _whole_text(request: Request, answer: Any, opening: str) -> str:
    """What the model wrote, its thoughts in front where the server takes them out.

    A server that finds no end of the thoughts takes all for them. In a turn that is begun they are over.
    """
    message = answer.choices[0].message
    extra = message.model_extra or {}
    content = _encodable(message.content or "")
    thoughts = _encodable(str(extra.get("reasoning") or extra.get("reasoning_content") or ""))
    if request.prefix and not content:
        return thoughts
    if not thoughts:
        return content if request.prefix else f"{opening}{content}"
    return f"<think>{thoughts}</think>{content}" if content else f"<think>{thoughts}"


def _encodable(text: str) -> str:
    """`text` as Unicode can be written: JSON can hold halves of pairs of surrogates, which no file can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _completion(
    request: Request, answer: Any, text: str, finish_reason: Literal["stop", "length"]
) -> Completion:
    told = answer.choices[0].logprobs
    return Completion(
        id=request.id,
        text=text,
        tokens=answer.usage.completion_tokens if answer.usage else 0,
        finish_reason=finish_reason,
        log_probabilities=tuple(token.logprob for token in told.content) if told and told.content else (),
    )


@contextmanager
def _explained(client: openai.AsyncOpenAI, model: str, item: str = "") -> Iterator[None]:
    """Says in one line what a server has to say, to the request `item`; the key is never part of it."""
    where = f"the server {client.base_url}"
    try:
        yield
    except openai.APITimeoutError as error:
        raise PercasymError(
            f"{where} did not answer in time; start again to go on, or set patience"
        ) from error
    except openai.APIConnectionError as error:
        raise PercasymError(f"{where} cannot be reached: {_reason(error)}; start it, then again") from error
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise PercasymError(f"{where} refuses the key: set {KEY} to one that it takes") from error
    except openai.NotFoundError as error:
        raise PercasymError(
            f"{where} has nothing there, or no model {model}; an address ends in /v1"
        ) from error
    except openai.APIStatusError as error:
        if NOT_FINITE in str(error):
            raise not_finite(model) from error
        if 300 <= error.status_code < 400:
            elsewhere = error.response.headers.get("location", "")[:200]
            raise PercasymError(
                f"{where} sends requests on to {elsewhere!r}, and neither they nor the key go there: name "
                "that address if you trust it"
            ) from error
        failed = (
            f"{where} fails with {error.status_code}"
            if error.status_code >= 500
            else f"{where} refuses a request with {error.status_code}"
        )
        raise PercasymError(f"{failed}: {item + ': ' if item else ''}{_reason(error)}") from error
    except (openai.APIResponseValidationError, json.JSONDecodeError) as error:
        raise PercasymError(
            f"{where} answers something else than OpenAI's protocol: {_reason(error)}"
        ) from error


def _reason(error: BaseException) -> str:
    """The innermost cause, in one short line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join((str(error) or type(error).__name__).split())[:200]
