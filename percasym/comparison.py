"""Models on the same items, each against the first: what changed in the figures, and which items flipped."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypedDict, get_args

from percasym.diagnostics.headline import holm
from percasym.errors import PercasymError
from percasym.metrics import Outcome, Row, as_json, compare, summarise, with_causes

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Flips(TypedDict):
    """What became of each item between two models."""

    cells: dict[Outcome, dict[Outcome, list[str]]]
    """`cells[before][after]`: the ids of the items with that outcome before and that one after."""
    gained: int
    """Items that were wrong and are right."""
    lost: int


class Against(TypedDict):
    """One model against the first."""

    figures: dict[str, Any]
    """`percasym.metrics.compare`; beside each `p` of McNemar's test `p_holm`, adjusted by Holm's method for
    the number of models that are compared with the first one."""
    flips: Flips


class Comparison(TypedDict):
    """Plain JSON."""

    reference: str
    """Label of the first model."""
    items: int
    models: dict[str, dict[str, Any]]
    """`percasym.metrics.summarise` of each, by label."""
    against: dict[str, Against]
    """By label, all models but the first."""


def compare_models(models: Mapping[str, Sequence[Row]]) -> Comparison:
    """Compare two models or more on the items that all of them answered.

    Args:
        models: results by label; the others are compared with the first one.

    Raises:
        PercasymError: fewer than two models; a model did not answer the same items as the first.
    """
    if len(models) < 2:
        raise PercasymError("a comparison takes two evaluations or more")
    (reference, before), *others = models.items()
    against = {}
    for label, after in others:
        try:
            figures = as_json(compare(before, after))
        except PercasymError as error:
            raise PercasymError(f"{label} against {reference}: {error}") from None
        against[label] = Against(figures=figures, flips=flips(before, after))
    _adjust([found["figures"] for found in against.values()])
    summaries = {label: as_json(summarise(rows)) for label, rows in models.items()}
    return Comparison(
        reference=reference, items=summaries[reference]["a"]["n"], models=summaries, against=against
    )


def flips(before: Sequence[Row], after: Sequence[Row]) -> Flips:
    """Each end-to-end item of `before`, which `after` has too, by what became of it in both, where that is
    known: see `percasym.metrics.cause`."""
    outcomes = _outcomes(after)
    cells: dict[Outcome, dict[Outcome, list[str]]] = {was: {now: [] for now in OUTCOMES} for was in OUTCOMES}
    for id, was in _outcomes(before).items():
        if id in outcomes:
            cells[was][outcomes[id]].append(id)
    count = {True: 0, False: 0}
    for was, now in product(OUTCOMES, OUTCOMES):
        if is_right(was) != is_right(now):
            count[is_right(now)] += len(cells[was][now])
    return Flips(cells=cells, gained=count[True], lost=count[False])


def is_right(outcome: Outcome) -> bool:
    return outcome in ("right", "lucky")


def _outcomes(rows: Sequence[Row]) -> dict[str, Outcome]:
    return {row["id"]: row["cause"] for row in with_causes(rows) if row["cause"] is not None}


def _adjust(tables: Sequence[dict[str, Any]]) -> None:
    """Adds `p_holm`, figure by figure."""
    for figure in tables[0]:
        tested = [table[figure] for table in tables if table[figure] and "p" in table[figure]]
        for found, p in zip(tested, holm([found["p"] for found in tested]), strict=True):
            found["p_holm"] = p
