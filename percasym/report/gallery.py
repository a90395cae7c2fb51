"""A gallery: items of a split with what one model, or two side by side, made of them; one HTML file.

The page needs nothing else and runs no script: filters are radio buttons and style rules.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from percasym.errors import PercasymError
from percasym.metrics import CAUSES
from percasym.report.outcomes import NAMES, RIGHT
from percasym.report.samples import Answered, read_samples, take_turns
from percasym.report.templates import environment

FILE = "gallery.html"
LIMIT = 200
FLIPS = ("gained", "lost")
"""What became of an item between two models: wrong before and right after, or the other way round."""
LONGEST = 4_000
"""Characters of a reasoning."""
PICTURE_BYTES = 48 << 10
_ORDER = (*FLIPS, *CAUSES, *reversed(RIGHT))


@dataclass(frozen=True)
class Shown:
    """How many items of one group there are, and how many of them are on the page."""

    name: str
    on_page: int
    in_all: int


@dataclass(frozen=True)
class Gallery:
    """What is on a page that has been written."""

    shown: Sequence[Shown]
    anchors: Mapping[str, str]
    """By id: the place of the item on the page, as in gallery.html#ANCHOR."""


class _Groups(NamedTuple):
    flip: str | None
    outcome: str

    @property
    def first(self) -> str:
        return self.flip or self.outcome


def write_gallery(
    path: Path,
    title: str,
    models: Sequence[Answered],
    dataset: Path,
    split: str,
    only: Collection[str] = (),
    limit: int = LIMIT,
    right: int | None = None,
) -> Gallery:
    """Write the page `path`. The same input gives the same bytes.

    Each item is in one group: of two models `gained` or `lost`, and else by the outcome of the last model
    (right, lucky, perception, ...). Where not all fit, each group has its turn, in the order of the results.

    Args:
        models: one, or two that answered the same items: before and after.
        only: take only items that are gained, lost, or have one of these outcomes; none: all.
        limit: items on the page.
        right: take at most so many items that are right, and as many that are right on a wrong caption.

    Raises:
        PercasymError: `only` has an unknown name; there is nothing to show; the two models answered different
            items; the data set cannot be read, or the page not be written.
    """
    items = _groups(models)
    known = (*FLIPS, *NAMES) if len(models) == 2 else tuple(NAMES)
    if unknown := [name for name in only if name not in known]:
        raise PercasymError(f"there is no group of items {unknown[0]!r}; choose from {', '.join(known)}")
    groups: dict[str, list[str]] = {name: [] for name in _ORDER}
    for id, group in items.items():
        if not only or not set(only).isdisjoint(group):
            groups[group.first].append(id)
    groups = {name: ids for name, ids in groups.items() if ids}
    if not groups:
        there = ", ".join(name for name in known if any(name in group for group in items.values()))
        raise PercasymError(f"no item is {' or '.join(sorted(only))}; choose from {there}")
    offered = {name: ids[:right] if name in RIGHT else ids for name, ids in groups.items()}
    chosen = set(take_turns(list(offered.values()), limit))
    ids = [id for group in offered.values() for id in group if id in chosen]
    numbers = {id: number for number, id in enumerate(items, start=1)}
    anchors = {id: f"item-{numbers[id]}" for id in ids}
    shown = [Shown(name, len(chosen.intersection(group)), len(group)) for name, group in groups.items()]
    page = (
        environment()
        .get_template("gallery.html.jinja")
        .render(
            title=title,
            labels=[model.label for model in models],
            items=len(items),
            shown=shown,
            on_page=len(ids),
            flips={id: items[id].flip for id in ids},
            filters=_filters(ids, models, items),
            anchors=anchors,
            samples=read_samples(
                dataset, split, ids, models, models, longest=LONGEST, picture_bytes=PICTURE_BYTES
            ),
        )
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise PercasymError(f"cannot write {path}: {error.strerror or error}") from error
    return Gallery(shown, anchors)


def _groups(models: Sequence[Answered]) -> dict[str, _Groups]:
    """What became of each item, in the order of the results."""
    before, after = models[0].rows, models[-1].rows
    if before.keys() != after.keys():
        raise PercasymError(
            f"{models[0].label} and {models[-1].label} answered different items; score both on the same split"
        )
    return {
        id: _Groups(
            flip=None if row["a"] == before[id]["a"] else FLIPS[not row["a"]], outcome=str(row["cause"])
        )
        for id, row in after.items()
    }


def _filters(
    ids: Sequence[str], models: Sequence[Answered], items: Mapping[str, _Groups]
) -> dict[str, dict[str, int]]:
    """For each filter of the page its choices, and how many items each leaves."""
    filters = {}
    if len(models) == 2:
        filters["flip"] = Counter(str(items[id].flip) for id in ids)
    for name, model in zip(("before", "after")[-len(models) :], models, strict=True):
        filters[name] = Counter(str(model.rows[id]["cause"]) for id in ids)
    return {
        name: {choice: counts[choice] for choice in (*FLIPS, *NAMES) if counts[choice]}
        for name, counts in filters.items()
    }
