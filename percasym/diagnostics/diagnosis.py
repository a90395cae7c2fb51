"""From the results of all models of a study to one account of what they can do, and why."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

from percasym.datasets import read_split
from percasym.diagnostics.association import Association, association
from percasym.diagnostics.coupling import coupling_over_steps, read_groups
from percasym.diagnostics.headline import headline
from percasym.diagnostics.misreadings import Misreadings, Pair, misreadings
from percasym.diagnostics.records import ModelRecord, SweepPoint, read_results, read_training
from percasym.diagnostics.shares import Shares, shares
from percasym.errors import PercasymError
from percasym.judgement import read_response
from percasym.metrics import Row, as_json, compare, paired_bootstrap, summarise, with_causes
from percasym.puzzles import Task, load_spec

Interval = dict[str, float]
"""An Estimate as JSON: value, low, high, n."""

OUTCOME = "outcome"
"""The plain reward, which other rewards are compared with."""


class ModelDiagnosis(TypedDict):
    label: str
    kind: str
    summary: dict[str, Any]
    """`percasym.metrics.summarise`."""
    outcomes: dict[str, int]
    """Every item once: right, lucky (right on a wrong caption), or the cause of the wrong answer, if it is
    known."""
    caption_credit: list[tuple[float, int]]
    """The partial credits that occur, ascending, and how many captions have each."""
    gap: Interval | None
    """a_r - a_p, paired over the items."""
    gap_growth: Interval | None
    """By how much that gap is larger than the base's, paired over the items."""
    association: dict[str, Any] | None
    """`percasym.diagnostics.association`; None without oracle rows."""
    misreadings: Misreadings | None
    shares: Shares | None
    """None without a log of a fine-tuning."""
    start: str | None
    """The model that its last training started from; None of the base."""
    coupling: list[dict[str, Any]] | None
    """`percasym.diagnostics.coupling.CouplingWindow` over a reinforcement learning's own rollouts."""


class Diagnosis(TypedDict):
    """All that a report says in numbers; plain JSON."""

    split: str
    items: int
    models: dict[str, ModelDiagnosis]
    comparisons: dict[str, dict[str, dict[str, Any]]]
    """`comparisons[arm][baseline]` is `percasym.metrics.compare` of the arm against the base, the token
    mean and where its last training started, and if it is a reward's, the outcome reward."""
    sweeps: dict[str, list[dict[str, Any]]]
    """By what is swept over, `lam` or `alpha`: a, a_p and a_r at each `weight`, ascending."""
    headline: str


def diagnose(
    models: Sequence[ModelRecord], dataset: Path, split: str, sweep: Sequence[SweepPoint] = ()
) -> Diagnosis:
    """Diagnose the models of a study that answered the same items.

    Args:
        models: the base model and the arms, any of them, in the order in which a reader should see them.
        dataset: the folder of the data set.
        split: the split that all results belong to.
        sweep: the models of a grid of weights of perception, if there was one, or two.

    Raises:
        PercasymError: no models or two of one name; results or logs that cannot be read; results of different
        items.
    """
    names = [model.name for model in models]
    if not names or len(set(names)) < len(names):
        raise PercasymError(
            f"a diagnosis takes at least one model, each under a name of its own, not {names}"
        )
    rows = {model.name: with_causes(read_results(model.results)) for model in models}
    base = next((rows[model.name] for model in models if model.kind == "base"), None)
    diagnosis = Diagnosis(
        split=split,
        items=sum(row["mode"] == "end_to_end" for row in rows[names[0]]),
        models={},
        comparisons={
            model.name: {
                baseline.name: as_json(compare(rows[baseline.name], rows[model.name]))
                for baseline in models
                if baseline.name != model.name and _is_baseline(baseline, model)
            }
            for model in models
            if model.kind != "base"
        },
        sweeps={
            over: [
                _sweep_point(point)
                for point in sorted(sweep, key=lambda point: point.weight)
                if point.over == over
            ]
            for over in ("lam", "alpha")
        },
        headline="",
    )
    instances = read_instances(dataset, split)
    for model in models:
        diagnosis["models"][model.name] = _diagnose_model(model, rows[model.name], instances, base)
    diagnosis["headline"] = headline(diagnosis)
    return diagnosis


def _is_baseline(baseline: ModelRecord, model: ModelRecord) -> bool:
    """The base, the token mean and where its last training started are everybody's; a reward's is the plain
    outcome too."""
    everybodys = baseline.kind == "base" or baseline.name in ("token_mean", model.start)
    return everybodys or (model.kind == "rl" and baseline.name == OUTCOME)


def read_instances(dataset: Path, split: str) -> dict[str, tuple[Task[Any], Any]]:
    """The puzzle family and the instance of every item of a split, by id."""
    rows = read_split(dataset, split, ["id", "puzzle", "ground_truth"]).to_list()
    puzzles = [load_spec(row["puzzle"]) for row in rows]
    return {
        row["id"]: (puzzle, puzzle.read_ground_truth(row["ground_truth"]))
        for row, puzzle in zip(rows, puzzles, strict=True)
    }


def _diagnose_model(
    model: ModelRecord,
    rows: Sequence[Row],
    instances: dict[str, tuple[Task[Any], Any]],
    base: Sequence[Row] | None,
) -> ModelDiagnosis:
    own = [row for row in rows if row["mode"] == "end_to_end"]
    if unknown := [row["id"] for row in own if row["id"] not in instances]:
        raise PercasymError(
            f"{model.results}: {unknown[0]!r} is no item of this split; give the split that was evaluated"
        )
    oracle = {row["id"]: row for row in rows if row["mode"] == "oracle"}
    credits = [float(row["a_p_partial"]) for row in own if row["a_p_partial"] is not None]
    skills = [(row["a"], bool(row["a_p"]), oracle[row["id"]]["a"]) for row in own if row["id"] in oracle]
    gaps, base_gaps = _gaps(rows), {} if base is None or model.kind == "base" else _gaps(base)
    common = [id for id in gaps if id in base_gaps]
    coupled = model.rollouts and [
        as_json(window) for window in coupling_over_steps(read_groups(model.rollouts))
    ]
    linked: Association | None = association(*zip(*skills, strict=True)) if skills else None
    return ModelDiagnosis(
        label=model.label,
        kind=model.kind,
        summary=as_json(summarise(rows)),
        outcomes=dict(Counter(str(row["cause"]) for row in own if row["cause"])),
        caption_credit=sorted(Counter(credits).items()),
        gap=as_json(paired_bootstrap([0] * len(gaps), list(gaps.values()))) if gaps else None,
        gap_growth=as_json(paired_bootstrap([base_gaps[id] for id in common], [gaps[id] for id in common]))
        if common
        else None,
        association=as_json(linked),
        misreadings=misreadings(_pairs(own, instances)),
        shares=shares(read_training(model.training)) if model.training and model.kind == "sft" else None,
        start=model.start,
        coupling=coupled or None,
    )


def _gaps(rows: Sequence[Row]) -> dict[str, int]:
    """a_r - a_p of each item that has both."""
    perception = {row["id"]: row["a_p"] for row in rows if row["a_p"] is not None}
    return {
        row["id"]: row["a"] - perception[row["id"]]
        for row in rows
        if row["mode"] == "oracle" and row["id"] in perception
    }


def _pairs(own: Sequence[Row], instances: dict[str, tuple[Task[Any], Any]]) -> Iterator[Pair]:
    for row in own:
        puzzle, instance = instances[row["id"]]
        caption = read_response(puzzle, instance, row["text"]).caption
        read = None if caption is None else puzzle.read_perception(caption, instance)
        described = None if read is None else puzzle.facts(read)
        yield Pair(puzzle.facts(instance), described, puzzle.fact_rows(instance))


def _sweep_point(point: SweepPoint) -> dict[str, Any]:
    summary = as_json(summarise(read_results(point.results)))
    return {"weight": point.weight} | {key: summary[key] for key in ("a", "a_p", "a_r")}
