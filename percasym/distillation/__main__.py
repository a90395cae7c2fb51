"""Distils some rows of a data set.

    python -m percasym.distillation CONFIG.json

writes OUT/data, a data set of the rows that have a response, and OUT/report.json, and prints lines of JSON:
{"kind": "progress", "done": ..., "total": ..., "tokens": ..., "rejected": ...}, in rows, now and then.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from pydantic import BaseModel, Field

from percasym import child
from percasym.datasets import iter_split, write_dataset
from percasym.distillation.distill import Choice, Report, distill
from percasym.distillation.model import ModelTeacher
from percasym.distillation.solver import SolverTeacher
from percasym.distillation.teacher import Teacher
from percasym.engines import Engine, Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.folders import write_text
from percasym.journal import Journal

PROGRESS_SECONDS = 1.0


class Model(BaseModel, frozen=True, extra="forbid"):
    """A language model as the teacher."""

    engine: EngineConfig = Field(description="The model, and the server that it is behind")
    own: bool = Field(default=False, description="Whether that server is one of ours, which gets no key")
    prompt: str = Field(description="What it is asked, with {query} and {perception}")
    temperature: float = Field(default=0.6, ge=0, description="Of the sampling")
    top_p: float = Field(default=0.95, gt=0, le=1, description="Probability that is sampled from")
    max_tokens: int = Field(default=8192, gt=0, description="Where an answer is cut off")
    journal: Path = Field(description="File in which its answers are kept")


class DistillationConfig(BaseModel, frozen=True, extra="forbid"):
    """Which rows, and who teaches."""

    dataset: str = Field(description="Data set: a folder")
    split: str = Field(default="train_sft", description="Split to write responses for")
    first: int = Field(default=0, ge=0, description="Number of the first row")
    end: int = Field(description="Number of the row to stop before")
    out: Path = Field(description="Folder of the result")
    seed: int = Field(default=0, description="Everything random follows from it")
    attempts: int = Field(default=4, gt=0, description="Responses tried for an item")
    choice: Choice = Field(default="first", description="Which right response is taken")
    longest: int = Field(default=0, ge=0, description="Words of a response, at most; 0: any number")
    solver: SolverTeacher = Field(default=SolverTeacher(), description="Who teaches if no model does")
    model: Model | None = Field(default=None, description="A language model as the teacher")


def run(config: DistillationConfig) -> None:
    """Distils, and prints records of progress.

    Raises:
        PercasymError: the data set cannot be read or written; the teacher's server cannot be reached, or
            fails for good.
    """
    progress = _Progress(config)
    report = Report(changed=progress)
    rows = iter_split(config.dataset, config.split, first=config.first, end=config.end)
    with _teacher(config) as teacher:
        answered = list(
            distill(rows, teacher, config.seed, config.attempts, report, config.choice, config.longest)
        )
    if answered:
        write_dataset(config.out / "data", {config.split: answered})
    config.out.mkdir(parents=True, exist_ok=True)
    write_text(config.out / "report.json", json.dumps(report.dump()))
    progress.tell(report)


@contextmanager
def _teacher(config: DistillationConfig) -> Iterator[Teacher]:
    if config.model is None:
        yield config.solver
        return
    model = config.model
    sampling = Sampling(model.temperature, model.top_p, model.max_tokens, config.seed, stop="")
    with ExitStack() as stack:

        @cache  # for the first question, as a shard of which all is known needs no server
        def engine() -> Engine:
            return stack.enter_context(open_engine(model.engine, model.own))

        journal = stack.enter_context(Journal(model.journal))
        yield ModelTeacher(model.engine.model, engine, sampling, model.prompt, journal)


class _Progress:
    """Prints how far a report is, now and then."""

    def __init__(self, config: DistillationConfig) -> None:
        self.total = config.end - config.first
        self.told = time.monotonic()

    def __call__(self, report: Report) -> None:
        if time.monotonic() - self.told > PROGRESS_SECONDS:
            self.told = time.monotonic()
            self.tell(report)

    def tell(self, report: Report) -> None:
        record = {"kind": "progress", "done": report.settled, "total": self.total}
        record |= {"tokens": report.tokens, "rejected": sum(report.rejections.values())}
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    sys.exit(child.main(sys.argv[1:], "percasym.distillation", DistillationConfig, run))
