"""Items to look at: the picture, p*, and what models wrote, with the errors of their captions marked."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from percasym.datasets import read_split
from percasym.diagnostics.diagnosis import Diagnosis, read_instances
from percasym.diagnostics.headline import reference_of
from percasym.diagnostics.records import ModelRecord, read_results
from percasym.metrics import Row, with_causes
from percasym.report.marking import Marked, mark
from percasym.response import parse

SAMPLES = 6
LONGEST = 900
"""Characters of a reasoning that are shown."""
_LARGEST_SIDE = 400
_WANTED = ("perception", "lucky", "reasoning", "right", "both", "format")


@dataclass(frozen=True)
class Reply:
    """What one model made of one item. Its texts are the model's own: untrusted."""

    label: str
    outcome: str
    caption: Marked | None
    """None if there is no caption."""
    reasoning: str
    answer: str | None


@dataclass(frozen=True)
class Sample:
    """One item of the split."""

    id: str
    image: str | None
    """As a data: URI; None for an item without a picture."""
    truth: Marked
    replies: Sequence[Reply]
    verdicts: Sequence[tuple[str, str]]
    """Label and outcome of every model."""


def choose_samples(
    diagnosis: Diagnosis, models: Sequence[ModelRecord], dataset: Path, split: str
) -> list[Sample]:
    """Six items by a fixed rule: of each outcome of the last model in turn, the first items of its results.

    The replies shown are those of that model and, before it, of the one it is compared with (`reference_of`).
    """
    shown = list(dict.fromkeys([reference_of(diagnosis) or models[-1].name, models[-1].name]))
    rows = {model.name: _by_id(with_causes(read_results(model.results))) for model in models}
    ids = _first_of_each(list(rows[shown[-1]].values()))
    items = read_split(dataset, split, ["id", "image"])
    index = {id: number for number, id in enumerate(read_split(dataset, split, ["id"])["id"])}
    instances = read_instances(dataset, split)
    samples = []
    for id in ids:
        puzzle, instance = instances[id]
        perception = puzzle.perception(instance)
        samples.append(
            Sample(
                id=id,
                image=_data_uri(items[index[id]]["image"]),
                truth=mark(instance, instance, perception, perception),
                replies=[
                    _reply(diagnosis["models"][name]["label"], rows[name][id], puzzle, instance)
                    for name in shown
                    if id in rows[name]
                ],
                verdicts=[
                    (model.label, str(rows[model.name][id]["cause"]))
                    for model in models
                    if id in rows[model.name]
                ],
            )
        )
    return samples


def _by_id(rows: Sequence[Row]) -> dict[str, Row]:
    return {row["id"]: row for row in rows if row["mode"] == "end_to_end"}


def _first_of_each(rows: Sequence[Row]) -> list[str]:
    """Ids: the first of each outcome, then the second of each, up to `SAMPLES`."""
    by_outcome = {outcome: [row["id"] for row in rows if row["cause"] == outcome] for outcome in _WANTED}
    longest = max(map(len, by_outcome.values()))
    turns = [ids[turn] for turn in range(longest) for ids in by_outcome.values() if turn < len(ids)]
    return turns[:SAMPLES]


def _reply(label: str, row: Row, puzzle: Any, instance: Any) -> Reply:
    response = parse(row["text"])
    reasoning = response.reasoning
    caption = None
    if response.caption is not None:
        read = puzzle.read_perception(response.caption, instance)
        caption = mark(instance, read, puzzle.perception(instance), response.caption)
    return Reply(
        label=label,
        outcome=str(row["cause"]),
        caption=caption,
        reasoning=reasoning if len(reasoning) <= LONGEST else reasoning[:LONGEST] + " …",
        answer=None if response.answer is None else response.answer[:LONGEST],
    )


def _data_uri(image: Image.Image | None) -> str | None:
    if image is None:
        return None
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
