"""percasym from Python: measure a model, read results, compare. See docs/python.md."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from percasym import metrics
from percasym.config import StudyConfig
from percasym.datasets import generate_rows, read_split
from percasym.diagnostics.records import read_results
from percasym.engines import LONGEST, Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.errors import PercasymError
from percasym.evaluation import COLUMNS, MODES, RESULTS
from percasym.evaluation import evaluate as measure
from percasym.evaluations import find_evaluations
from percasym.images import open_image
from percasym.metrics import Mode, Row
from percasym.puzzles import Puzzle, load_puzzle
from percasym.puzzles.base import Split
from percasym.runs import STUDY, evaluated, kept, names
from percasym.tracking import Tracker, fetch, fetched

if TYPE_CHECKING:
    from pandas import DataFrame


def evaluate(
    model: str | Path,
    items: str | Path | Puzzle[Any] = "sudoku",
    *,
    n: int = 200,
    split: str = "test",
    seed: int = 0,
    modes: Sequence[Mode] = MODES,
    max_new_tokens: int = LONGEST,
    temperature: float = 0.0,
    **engine: Any,
) -> "DataFrame":
    """Measures a model in this process.

    Args:
        model: a checkpoint, as a folder or a Hub id; with engine="server" its name there.
        items: the folder of a data set, a puzzle that `load_puzzle` gave, or the name of one.
        n: how many items, the first ones of a data set.
        split: of the data set, or of the puzzles that are drawn.
        seed: of the puzzles that are drawn, and of the sampling.
        modes: end_to_end for a and a_p, oracle for a_r.
        temperature: 0: always the most probable token.
        engine: fields of `percasym.engines.config.EngineConfig`, such as engine="vllm", batch_size=16.

    Returns:
        A row for each item and mode, with the columns of `percasym.evaluation.SCHEMA`.

    Raises:
        PercasymError: the model or the items are not there or cannot be read.
    """
    rows: Iterable[Mapping[str, Any]]
    if isinstance(items, Puzzle) or (isinstance(items, str) and not Path(items).is_dir()):
        puzzle = items if isinstance(items, Puzzle) else load_puzzle(items, {})
        drawn = generate_rows(puzzle, cast(Split, split), seed, n)
        rows = ({**row, "image": open_image(row["image"])} for row in drawn)
    else:
        rows = islice(read_split(items, split, COLUMNS), n)
    sampling = Sampling(temperature=temperature, max_tokens=max_new_tokens, seed=seed)
    with open_engine(EngineConfig(model=str(model), **engine)) as opened:
        return _table(metrics.with_causes(measure(opened, rows, sampling, modes)))


def load_results(where: str | Path) -> "DataFrame":
    """The responses of an evaluation and what they are worth, a row for each item and mode.

    Args:
        where: a results.parquet or its folder, or what `percasym compare` takes: the name of a study and a
            model, STUDY/MODEL, or the beginning of an MLflow run's id.

    Raises:
        PercasymError: there are no such results, or they cannot be read.
    """
    path = Path(where)
    if path.is_dir():
        path = path / RESULTS
    if not path.is_file():
        if path.suffix == ".parquet" or path.name == RESULTS:
            raise PercasymError(f"there is no {path}")
        path = find_evaluations([str(where)])[0].results
    return _table(read_results(path))


class Study:
    """The latest finished study of a name, in the home folder that PERCASYM_HOME names (else .percasym).

    Attributes:
        name: of the study.
        run: its MLflow run id.
        models: what it has measured: "base", and each model of its recipes.
    """

    def __init__(self, name: str) -> None:
        """
        Raises:
            PercasymError: there is no finished study of that name.
        """
        tracker = kept()
        run = tracker.newest(stage=STUDY, study=name)
        if run is None:
            known = ", ".join(names(tracker, finished=True)) or "none"
            raise PercasymError(f"there is no finished study called {name!r}; there are {known}")
        self.name, self.run = name, run
        self.models = list(evaluated(tracker.client.get_run(run)))

    @property
    def config(self) -> StudyConfig:
        """Its settings.

        Raises:
            PercasymError: another version of percasym has written them.
        """
        return StudyConfig.read(Tracker.current().params(self.run), {})

    def results(self, model: str) -> "DataFrame":
        """The responses of one of its models; see `load_results`."""
        return load_results(f"{self.name}/{model}")

    def figures(self) -> "DataFrame":
        """a, a_p and a_r of each model: a row for each model and figure that exists, with `value`, its 95 %
        interval `low` to `high`, and `n` items."""
        from pandas import DataFrame

        rows = []
        for model in self.models:
            summary = summarise(self.results(model))
            rows += [
                {"model": model, "figure": figure, **summary[figure]._asdict()}
                for figure in metrics.FIGURES
                if summary[figure] is not None
            ]
        return DataFrame(rows).set_index(["model", "figure"])

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """How the second of two of its models differs from the first; see `compare`."""
        return compare(self.results(first), self.results(second))

    @property
    def report(self) -> Path:
        """Its report, an HTML page."""
        uri = Tracker.current().latest(self.name, "report")
        assert uri is not None  # a study that has finished has one
        return fetch(uri, fetched(uri.split("/")[-2])) / "report.html"


def summarise(rows: "Iterable[Row] | DataFrame") -> dict[str, Any]:
    """a, a_p, a_r and more, with 95 % intervals: see `percasym.metrics.summarise`."""
    return metrics.summarise(_rows(rows))


def compare(first: "Iterable[Row] | DataFrame", second: "Iterable[Row] | DataFrame") -> dict[str, Any]:
    """How the second differs from the first, item by item: see `percasym.metrics.compare`."""
    return metrics.compare(_rows(first), _rows(second))


def _table(rows: Iterable[Row]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame(list(rows), dtype=object)  # None stays None: a figure that does not exist is no 0


def _rows(rows: "Iterable[Row] | DataFrame") -> list[Row]:
    found = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
    return list(cast(Iterable[Row], found))
