"""A language model as the teacher, behind a server: Qwen3-32B in the paper."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from percasym.distillation.teacher import Attempt, Request
from percasym.engines import Engine, Sampling
from percasym.engines import Request as Prompt
from percasym.errors import PercasymError
from percasym.journal import Journal
from percasym.puzzles.base import Thought
from percasym.response import parse
from percasym.seeding import digest

PROMPT = Path(__file__).with_name("prompt.txt")
LONGEST_PROMPT = 1 << 16  # characters
FIELDS = ("{query}", "{perception}")


class Answer(NamedTuple):
    """A model's text as it came."""

    text: str
    tokens: int
    finish_reason: str


class ModelTeacher:
    """Asks a model, in text alone, and reads its thoughts. What it has said before it is not asked again."""

    def __init__(
        self, name: str, engine: Callable[[], Engine], sampling: Sampling, prompt: str, journal: Journal
    ) -> None:
        """
        Args:
            engine: gives the engine when the first question is asked.
            prompt: a text with {query} and {perception}.
            journal: what the teacher has said so far, by the key of the question; more is added.
        """
        self.name = name
        self.engine = engine
        self.sampling = sampling
        self.prompt = prompt
        self.journal = journal
        self.known = {key: Answer(*answer) for key, *answer in journal.values}

    def respond(self, requests: Iterable[Request]) -> Iterator[Attempt]:
        """An attempt for each request, those that are known first.

        Raises:
            PercasymError: the server fails for good; what it has said is kept.
        """
        asked: dict[str, tuple[Request, str]] = {}
        prompts = []
        for request in requests:
            text = self.prompt.replace("{query}", request.query).replace("{perception}", request.perception)
            key = digest(text, request.seed)
            if (known := self.known.get(key)) is not None:
                yield read_answer(request.id, known)
            else:
                asked[key] = request, text
                prompts.append(Prompt(key, text, None))
        if not prompts:
            return
        for completion in self.engine().generate(prompts, self.sampling):
            answer = Answer(completion.text, completion.tokens, completion.finish_reason)
            self.journal.add([completion.id, *answer])
            self.known[completion.id] = answer
            yield read_answer(asked[completion.id][0].id, answer)


def read_answer(id: str, answer: Answer) -> Attempt:
    """What a model has written, as a thought.

    In Qwen3's thinking mode the text is `<think>` thoughts `</think>` answer; where the chat template writes
    the opening tag itself, only the closing one is there. A model without thoughts reasons before its answer.
    A thought may speak of the tags that structure a response; they are taken out of it.

    The attempt is rejected as "cut off" if the limit of tokens ended it, "unclosed thought" if the thoughts
    have no end, "no answer" if there is no `<answer>` pair behind them, "no reasoning" if nothing else is.
    """
    if answer.finish_reason == "length":
        return Attempt(id, None, "cut off", answer.tokens)
    thoughts, closing, rest = answer.text.partition("</think>")
    if not closing and "<think>" in answer.text:
        return Attempt(id, None, "unclosed thought", answer.tokens)
    read = parse(rest if closing else answer.text)
    if not read.answer:
        return Attempt(id, None, "no answer", answer.tokens)
    reasoning = thoughts.strip().removeprefix("<think>") if closing else read.reasoning
    reasoning = re.sub("</?(?:think|caption|answer)>", "", reasoning).strip()
    if not reasoning:
        return Attempt(id, None, "no reasoning", answer.tokens)
    return Attempt(id, Thought(reasoning, read.answer), tokens=answer.tokens)


def read_prompt(path: Path) -> str:
    """A prompt from a text file.

    Raises:
        PercasymError: the file cannot be read, is too long, or lacks {query} or {perception}.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST_PROMPT + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise PercasymError(f"cannot read the teacher's prompt {path}: {error}") from error
    if len(text) > LONGEST_PROMPT:
        raise PercasymError(f"the teacher's prompt {path} is longer than {LONGEST_PROMPT:,} characters")
    if missing := [name for name in FIELDS if name not in text]:
        raise PercasymError(f"the teacher's prompt {path} lacks {' and '.join(missing)}: write where they go")
    return text.strip()
