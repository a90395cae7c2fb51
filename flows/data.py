"""The items of a study: drawn, or a data set of the user's."""

import json
from typing import Any

from prefect.futures import PrefectFuture

from percasym.config import StudyConfig
from percasym.datasets import iter_split
from percasym.errors import PercasymError
from percasym.puzzles import Puzzle, load_spec
from tasks.generate import generate
from tasks.ingest import ingest
from tasks.stage import Reference


def items(config: StudyConfig, study: str, label: str = "") -> PrefectFuture[Reference]:
    """Starts the stage that gives the items.

    Args:
        study: id of the MLflow run of the flow.
    """
    if config.data:
        return ingest.submit(config, study, label, source=config.data)
    return generate.submit(config, study, label)


def as_data(config: StudyConfig, data: PrefectFuture[Reference]) -> StudyConfig:
    """`config` with the puzzles of a data set of the user's, if a miniature is to be made for these.

    Raises:
        PercasymError: its items are no puzzles, and no model is named.
        Exception: whatever the stage failed with.
    """
    if not config.data or config.model:
        return config
    from percasym.miniature import LARGEST_SIDE, TILE

    row = next(iter_split(data.result().path, "test", ["puzzle"]))
    task = load_spec(row["puzzle"])  # refuses a puzzle whose file the user has not named
    if not isinstance(task, Puzzle):
        raise PercasymError(
            f"data: its items are of {task.name}, for which no miniature can be made: name a model, as "
            "model=FOLDER or a Hub id"
        )
    puzzle: dict[str, Any] = json.loads(row["puzzle"])
    options = {name: value for name, value in puzzle["config"].items() if value is not None}
    fields = {name: options.pop(name) for name in ("text", "side", "style")}
    fields["side"] = max(TILE, min(fields["side"], LARGEST_SIDE) // TILE * TILE)
    changes = {"puzzle": puzzle["name"], "puzzle_options": options, **fields}
    changes["pretrain"] = config.pretrain.model_copy(update={"options": {}})
    return config.model_copy(update=changes)
