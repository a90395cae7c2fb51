"""What every text generator takes and gives: requests in, completions out, whatever runs the model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image

from percasym.errors import PercasymError

LONGEST = 8192
"""Tokens at which a response is cut off, unless somebody says otherwise: one that thinks takes thousands, and
one that does not ends long before."""


@dataclass(frozen=True)
class Request:
    """One prompt.

    `prefix` is the beginning of the assistant's turn, written for the model, which goes on from there.
    """

    id: str
    query: str
    image: Image.Image | None
    prefix: str = ""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        temperature: 0 takes the most probable token; otherwise logits are divided by it and a token is drawn.
        top_p: tokens are drawn from the smallest set that holds this much probability, in (0, 1].
        max_tokens: a completion ends here at the latest.
        seed: with the request's id it names the random stream of a completion.
        stop: the text ends with the first occurrence of this outside thoughts; "" for none.
        log_probabilities: whether completions tell them, where the engine can.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = LONGEST
    seed: int = 0
    stop: str = "</answer>"
    log_probabilities: bool = False


@dataclass(frozen=True)
class Completion:
    """What the model wrote after the request's prefix: `prefix + text` is the assistant's whole turn.

    Where there is no prefix and the chat template begins a thought, the text begins with that opening, though
    the prompt has it: so a thought that is cut off is known for one. A server's own field for thoughts is put
    in front of what it says, as `<think>...</think>`.

    `tokens` counts the tokens that were generated, the closing one included. `finish_reason` is "stop" when
    the stop text was written or the model ended its turn, "length" when `max_tokens` cut it. `ids` are the
    generated tokens themselves, from engines that know them: a trainer must not guess them from the text.
    `log_probabilities` are theirs under the model, whatever the temperature; empty if nobody asked for them.
    """

    id: str
    text: str
    tokens: int
    finish_reason: Literal["stop", "length"]
    ids: tuple[int, ...] = ()
    log_probabilities: tuple[float, ...] = ()


def not_finite(checkpoint: str) -> PercasymError:
    """What to say of logits that are NaN: nobody sees it in a text, which is then "!!!!" or the like."""
    return PercasymError(
        f"the logits of {checkpoint} are not finite: its weights are damaged, or too large for their number "
        "format (try precision float32)"
    )


class Engine(Protocol):
    """A text generator.

    Completions come as they finish, in any order, one for each request. A text depends on its request and the
    sampling alone, not on what else is generated with it (up to the rounding of floating-point arithmetic).
    Only a bounded number of requests is taken ahead of the completions.
    """

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]: ...
