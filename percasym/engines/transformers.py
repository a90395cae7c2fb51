"""The embedded engine: any image-text-to-text checkpoint of transformers, in this process."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from percasym.engines.base import Completion, Request, Sampling, not_finite
from percasym.engines.decoding import GROUPED, GrowingLayer
from percasym.models.prompting import Sample, assistant_text, encode, thought_opening, written_text
from percasym.response import continued, until
from percasym.seeding import numpy_stream, stream

WINDOW = 8  # batches of requests that are taken ahead, so that prompts of one length can share a batch
COMPACTION = 1 / 8  # share of finished rows at which they are dropped from the batch


class TransformersEngine:
    """Generates in left-padded batches of requests of similar length.

    A token depends on the request, the seed and the logits alone, so a text is the same whatever batch it is
    in, as long as its logits are. Those differ by rounding between batches (matrix products are blocked
    differently), which matters only where two tokens are as good as equally probable: of 128 texts of about
    470 tokens of a trained miniature, in batches of 16 and of 128, none differed, neither greedy nor sampled.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin, batch_size: int = 32) -> None:
        self.model = model
        self.processor = processor
        self.batch_size = batch_size
        # Where a text holds one of these, a model expects an image: no completion may.
        names = ("image_token_id", "video_token_id")
        found = [getattr(model.config, name) for name in names if hasattr(model.config, name)]
        self.placeholders = torch.tensor(found, device=model.device, dtype=torch.long)

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yields a batch when its last completion is finished; holds `WINDOW` batches of requests.

        Raises:
            PercasymError: the model's logits are not finite.
        """
        ending = _Ending(self.model, self.processor, sampling.stop)
        requests = iter(requests)
        while window := sorted(islice(requests, WINDOW * self.batch_size), key=_size):
            for start in range(0, len(window), self.batch_size):
                with _prepared(self.model):
                    completions = self._complete(window[start : start + self.batch_size], sampling, ending)
                yield from completions

    @torch.inference_mode()
    def _complete(self, requests: list[Request], sampling: Sampling, ending: "_Ending") -> list[Completion]:
        rows = [
            _Row(
                request,
                prefix=assistant_text(self.processor, continued(ending.opening, request.prefix)).ids,
                draws=numpy_stream(stream("completion", sampling.seed, request.id)),
            )
            for request in requests
        ]
        samples = [Sample(row.request.query, row.request.image, row.prefix) for row in rows]
        inputs = encode(self.processor, samples, padding="left").inputs
        inputs = {name: tensor.to(self.model.device) for name, tensor in inputs.items()}
        mask, positions = inputs["attention_mask"], self._positions(inputs)
        cache = Cache(layer_class_to_replicate=GrowingLayer)

        running = rows
        step = inputs | {"position_ids": positions}
        for _ in range(sampling.max_tokens):
            output = self.model(**step, past_key_values=cache, use_cache=True, logits_to_keep=1)
            if not output.logits[:, -1].amax(dim=-1).isfinite().all():
                raise not_finite(self.model.name_or_path)
            logits = output.logits[:, -1].index_fill(-1, self.placeholders, -torch.inf)
            tokens = choose(logits, sampling, [row.draws for row in running])
            for row, token in zip(running, tokens.tolist(), strict=True):
                if row.text is None:  # a finished row stays until enough of them are to be dropped
                    ending.add(row, token)
            if sampling.log_probabilities:
                of_tokens = logits.float().log_softmax(dim=-1).gather(-1, tokens[:, None])[:, 0]
                for row, value in zip(running, of_tokens.tolist(), strict=True):
                    row.log_probabilities.append(value)
            unfinished = [place for place, row in enumerate(running) if row.text is None]
            if not unfinished:
                break
            positions = positions[..., -1:] + 1
            if len(unfinished) <= (1 - COMPACTION) * len(running):
                kept = torch.tensor(unfinished, device=tokens.device)
                running = [running[place] for place in unfinished]
                tokens, mask, positions = tokens[kept], mask[kept], positions[..., kept, :]
                cache.batch_select_indices(kept)
            mask = torch.cat([mask, mask.new_ones(len(running), 1)], dim=1)
            step = {"input_ids": tokens[:, None], "attention_mask": mask, "position_ids": positions}
        return [ending.completion(row) for row in rows]

    def _positions(self, inputs: dict[str, Tensor]) -> Tensor:
        """Positions in a left-padded prompt: (rows, tokens), or (3, rows, tokens) where images have a grid.

        The model would find the same, but remembers offsets that do not follow when a batch shrinks.
        """
        if "image_grid_thw" in inputs:
            for module in self.model.modules():
                if hasattr(module, "get_rope_index"):
                    wanted = ("input_ids", "attention_mask", "mm_token_type_ids", "image_grid_thw")
                    positions: Tensor = module.get_rope_index(**{name: inputs[name] for name in wanted})[0]
                    return positions
        return (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)


@contextmanager
def _prepared(model: PreTrainedModel) -> Iterator[None]:
    """Within, the model is in evaluation mode and decodes fast; afterwards it is as it was."""
    training, attention = model.training, model.config.text_config._attn_implementation
    model.eval()
    if attention == "sdpa":
        model.set_attn_implementation({"text_config": GROUPED})
    try:
        yield
    finally:
        model.set_attn_implementation({"text_config": attention})
        model.train(training)


def choose(logits: Tensor, sampling: Sampling, draws: Sequence[np.random.Generator]) -> Tensor:
    """The next token of each row, given its logits (rows, vocabulary) and its random generator.

    Sampling takes the winner of a race: argmax of logits / temperature - log E, with E from the exponential
    distribution, has the distribution softmax(logits / temperature) (Gumbel 1954, the Gumbel-max trick).
    Rounding of the logits changes the winner only where two tokens arrive together. To invert the
    distribution function would take one draw a token, but there rounding shifts the borders of all tokens.

    `top_p` lets only the smallest set of most probable tokens run that holds this much probability (nucleus
    sampling, Holtzman et al. 2020, arXiv 1904.09751).
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits.double() / sampling.temperature
    if sampling.top_p < 1:
        probabilities, order = logits.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
        outside = probabilities.cumsum(dim=-1) - probabilities >= sampling.top_p
        logits = logits.masked_fill(outside.scatter(-1, order, outside), -torch.inf)
    race = np.stack([generator.standard_exponential(logits.shape[-1]) for generator in draws])
    return (logits - torch.from_numpy(race).to(logits.device).log()).argmax(dim=-1)


def _size(request: Request) -> tuple[tuple[int, int], int]:
    """Requests of the same size have prompts of about the same number of tokens."""
    return request.image.size if request.image else (0, 0), len(request.query) + len(request.prefix)


@dataclass
class _Row:
    """A completion that is being written, and once it is finished its text."""

    request: Request
    prefix: list[int]
    draws: np.random.Generator
    generated: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    text: str | None = None


class _Ending:
    """Where a completion ends: behind the stop text, unless a thought names it, or with the turn."""

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin, stop: str) -> None:
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self.opening = thought_opening(processor)
        self.stop = stop
        of_model = model.generation_config.eos_token_id
        self.end_of_turn = {
            self.tokenizer.eos_token_id,
            *(of_model if isinstance(of_model, list) else [of_model]),
        }
        self.may_close = _spelt_with(self.tokenizer, stop[-1:])

    def add(self, row: _Row, token: int) -> None:
        row.generated.append(token)
        if token in self.end_of_turn:
            text = self._text(row)
            row.text = until(text, self.stop) or text
        elif self.stop and token in self.may_close:
            row.text = until(self._text(row), self.stop, ended=False)

    def completion(self, row: _Row) -> Completion:
        reason: Literal["stop", "length"] = "stop"
        if row.text is None:
            text = self._text(row)
            row.text = until(text, self.stop)
            if row.text is None:
                row.text, reason = text, "length"
        ids = tuple(row.generated)
        log_probabilities = tuple(row.log_probabilities[: len(ids)])  # a finished row goes on for a while
        return Completion(row.request.id, row.text, len(ids), reason, ids, log_probabilities)

    def _text(self, row: _Row) -> str:
        text = written_text(self.tokenizer, row.prefix, row.generated)
        return text if row.request.prefix else self.opening + text


def _spelt_with(tokenizer: PreTrainedTokenizerBase, character: str) -> set[int]:
    """The tokens whose text may hold `character`.

    Vocabularies write visible ASCII as it is, whatever they do to spaces and to other alphabets.
    """
    visible = character.isascii() and character.isprintable() and character != " "
    return {number for token, number in tokenizer.get_vocab().items() if character in token or not visible}
