"""The teacher's responses, which the model is post-trained on. The validation split goes with them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percasym import launch
from percasym.errors import PercasymError
from percasym.home import Home
from percasym.sections import DistillSection
from percasym.seeding import digest
from tasks.shards import over_shards
from tasks.show import show_response, show_table
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from percasym.distillation import Report

REPORT = "distillation.json"
SPLIT = "train_sft"
ASKED = 1000  # rows of a shard when a model teaches: its answers are kept by shard, so this never changes


@stage(children=("percasym.distillation.__main__",))
def distill(work: Work, config: DistillSection, data: Path) -> None:
    from percasym.datasets import count_rows, iter_split, write_dataset
    from percasym.distillation import Report, keep

    items = count_rows(data, SPLIT)
    if any(row["response"] for row in iter_split(data, SPLIT, ["response"])):
        report = Report()
        rows = keep(iter_split(data, SPLIT), report)
        write_dataset(work.folder, {SPLIT: rows, "validation": iter_split(data, "validation")})
        _tell(work, report)
        return
    size = ASKED if config.teacher else work.machine.shard_items
    with _teacher(work, config) as teacher:
        shards = [
            {
                "dataset": str(data),
                "first": first,
                "end": min(first + size, items),
                "out": str(work.scratch / f"{first // size:05}"),
                **{name: getattr(config, name) for name in ("seed", "attempts", "choice")},
                "longest": config.longest_response,
                **teacher(first // size),
            }
            for first in range(0, items, size)
        ]
        done: dict[int, int] = {}
        for record in over_shards(work.machine, "percasym.distillation", shards, work.scratch):
            done[record["shard"]] = record["done"]
            work.progress(sum(done.values()), items)

    report = Report()
    for shard in shards:
        report.add(Report.load(json.loads((Path(shard["out"]) / "report.json").read_text())))
    summary = report.summary()
    if not report.accepted:
        raise PercasymError(f"{report.teacher} got none of {items} items right: {summary['rejections']}")
    parts = [Path(shard["out"]) / "data" for shard in shards]
    answered = chain.from_iterable(iter_split(part, SPLIT) for part in parts if part.is_dir())
    write_dataset(work.folder, {SPLIT: answered, "validation": iter_split(data, "validation")})
    _tell(work, report)


def _tell(work: Work, report: "Report") -> None:
    """Writes down what became of the responses, and shows it."""
    summary = report.summary()
    (work.folder / REPORT).write_text(json.dumps(summary, indent=2))
    work.run.metrics({name: value for name, value in summary.items() if isinstance(value, int | float)})
    work.run.metrics(summary["rejections"], prefix="rejections/")
    levels = summary.pop("by_difficulty")
    show_table("distillation", [summary], "What became of the teacher's responses")
    show_table("difficulty", levels, "Items that got a response, by blanks of a Sudoku or edges of a graph")
    show_response(work.folder, SPLIT)


@contextmanager
def _teacher(work: Work, config: DistillSection) -> Iterator[Any]:
    """Who teaches, as a function from the number of a shard to settings; a model's server runs meanwhile."""
    if not config.teacher:
        solver = {"share": config.perception_share, "detours": config.detours}
        yield lambda shard: {"solver": solver}
        return
    from percasym.distillation.model import PROMPT, read_prompt
    from percasym.engines.config import EngineConfig
    from percasym.engines.serving import serving

    prompt = read_prompt(Path(config.teacher_prompt) if config.teacher_prompt else PROMPT)
    sampling = {
        "temperature": config.teacher_temperature,
        "top_p": config.teacher_top_p,
        "max_tokens": config.teacher_tokens,
    }
    asked = digest("teacher", config.teacher, sampling, prompt)
    engine = EngineConfig(model=config.teacher, **{**work.machine.engine_settings(), "engine": "server"})

    def settings(address: str, shard: int) -> dict[str, Any]:
        return {
            "model": {
                "engine": engine.model_copy(update={"server": address}).model_dump(mode="json"),
                "own": not work.machine.teacher_server,
                "prompt": prompt,
                "journal": str(Home.current().teachers / asked / f"{shard:05}.jsonl"),
                **sampling,
            }
        }

    if work.machine.teacher_server:
        yield lambda shard: settings(work.machine.teacher_server, shard)
    else:
        devices = work.machine.inference.tensor_parallel * work.machine.inference.data_parallel
        log = work.scratch / "server.log"
        with (
            launch.current_slots().gate(devices) as shown,
            serving(engine, log=log, environment=shown) as address,
        ):
            yield lambda shard: settings(address, shard)
