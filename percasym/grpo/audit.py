"""Audits surrogates for a_p on a checkpoint's own rollouts to the items of a labelled split.

    python -m percasym.grpo.audit CONFIG.json

prints lines of JSON: {"kind": "progress", "done": ..., "total": ...} now and then, and at the end {"kind":
"audit", ...} with `percasym.diagnostics.surrogate_audit.SurrogateAudit`. OUT, if given, gets a line for each
rollout: the response, its scores, and the value of each surrogate.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from percasym import child
from percasym.captioning import captions
from percasym.datasets import read_split
from percasym.diagnostics.surrogate_audit import audit_surrogates
from percasym.engines import LONGEST, Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.errors import PercasymError
from percasym.evaluation import COLUMNS
from percasym.folders import write_text
from percasym.grpo.blinding import image_gains
from percasym.grpo.config import AuditSettings
from percasym.grpo.losses import TokenLogProbabilities
from percasym.grpo.rollouts import SurrogateInputs, roll_out, surrogate_group
from percasym.metrics import as_json
from percasym.models import load, load_processor
from percasym.models.suitability import check_rows
from percasym.rewards import parse_reward
from percasym.seeding import digest
from percasym.surrogates import SURROGATES, load_surrogate, surrogate_values

Precision = Literal["auto", "float32", "bfloat16"]


class AuditConfig(AuditSettings, frozen=True):
    """What to audit on what."""

    model: str = Field(description="Checkpoint that responds: a folder, or a Hub id like owner/name")
    dataset: str = Field(description="Data set: a folder")
    split: str = Field(default="validation", description="Labelled split; not the one to test on")
    surrogates: tuple[str, ...] = Field(
        default=(), description="Names, or path/to/file.py:function; none: all that are built in and possible"
    )
    teacher: str = Field(default="", description="Checkpoint that captions for the surrogate teacher")
    out: Path | None = Field(default=None, description="File of the rollouts")
    max_new_tokens: int = Field(default=LONGEST, gt=0, description="Where a response is cut off")
    seed: int = Field(default=0, description="Of the sampling, at temperature 1")
    precision: Precision = Field(default="auto", description="auto: as saved")
    batch_size: int = Field(default=64, gt=0, description="Responses that are generated at a time")
    micro_batch_size: int = Field(default=16, gt=0, description="Responses in one forward pass")
    threads: int | None = Field(default=None, gt=0, description="CPU threads; by default torch's choice")

    def names(self) -> list[str]:
        """The surrogates to audit.

        Raises:
            PercasymError: one does not exist, or lacks its teacher.
        """
        if not self.surrogates:
            return [name for name in SURROGATES if name != "teacher" or self.teacher]
        for name in self.surrogates:
            load_surrogate(name)
            if name == "teacher" and not self.teacher:
                raise PercasymError(
                    "the surrogate teacher wants a teacher: name the checkpoint that captions"
                )
        return list(dict.fromkeys(self.surrogates))


def run(config: AuditConfig) -> Iterator[dict[str, Any]]:
    """Samples, judges and audits; yields what this module's description says.

    Raises:
        PercasymError: a surrogate does not exist, fails or lacks its teacher; the data set, its split or a
            checkpoint is not there or cannot be read.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    names = config.names()
    data = read_split(config.dataset, config.split, COLUMNS)
    rows = [dict(row) for row in data.select(range(min(config.items, len(data))))]
    if not rows:
        raise PercasymError(f"the split {config.split!r} of {config.dataset} has no items")
    check_rows(load_processor(config.model), data)
    seconds = dict.fromkeys(names, 0.0)
    captioned = None
    if config.teacher:
        teacher = TransformersEngine(*load(config.teacher, dtype=config.precision), config.batch_size)
        began = time.perf_counter()
        captioned = dict(captions(teacher, rows, config.max_new_tokens))
        if "teacher" in seconds:  # to have it caption is nearly all that this surrogate costs
            seconds["teacher"] = time.perf_counter() - began
        del teacher  # its weights go before those of the model come

    model, processor = load(config.model, dtype=config.precision)
    engine = TransformersEngine(model, processor, config.batch_size)
    module = TokenLogProbabilities(model)
    inputs = SurrogateInputs(
        captioned, lambda group: image_gains(module, processor, group, config.micro_batch_size)
    )
    seed = int(digest("audit", config.seed)[:15], 16)
    sampling = Sampling(temperature=1.0, max_tokens=config.max_new_tokens, seed=seed)
    groups: list[list[dict[str, Any]]] = []
    at_once = max(1, config.batch_size // config.group_size)
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        for row, group in zip(
            some, roll_out(engine, some, config.group_size, sampling, parse_reward("a")), strict=True
        ):
            seen = surrogate_group(group, row, inputs)
            values = {}
            for name in names:
                began = time.perf_counter()
                values[name] = surrogate_values(name, seen, row["id"])
                seconds[name] += time.perf_counter() - began
            groups.append([
                {
                    "id": rollout.id,
                    "sample": rollout.sample,
                    **asdict(rollout.judged),
                    "surrogates": {name: values[name][number] for name in names},
                    "response": rollout.prefix + rollout.text,
                }
                for number, rollout in enumerate(group)
            ])  # fmt: skip
            yield {"kind": "progress", "done": len(groups), "total": len(rows)}
    if config.out:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(config.out, "".join(json.dumps(line) + "\n" for group in groups for line in group))
    yield {"kind": "audit", **as_json(audit_surrogates(groups, seconds))}


if __name__ == "__main__":
    sys.exit(child.main(sys.argv[1:], "percasym.grpo.audit", AuditConfig, run))
