"""Items to look at: the picture, p*, and what models wrote, with the errors of their captions marked."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from percasym.datasets import read_split
from percasym.diagnostics.diagnosis import Diagnosis
from percasym.diagnostics.headline import reference_of
from percasym.diagnostics.records import ModelRecord, read_results
from percasym.judgement import read_response
from percasym.metrics import Row, with_causes
from percasym.puzzles import load_spec
from percasym.report.marking import Marked, mark

SAMPLES = 6
LONGEST = 900
"""Characters of a reasoning that are shown."""
_LONGEST_CAPTION = 20_000
"""Characters of a caption of which words are compared."""
_LARGEST_SIDE = 400
_WANTED = ("perception", "lucky", "reasoning", "right", "both", "format")


@dataclass(frozen=True)
class Answered:
    """What one model answered: its end-to-end rows, causes included, by id in the order of its results."""

    label: str
    rows: Mapping[str, Row]


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
    shown = dict.fromkeys([reference_of(diagnosis) or models[-1].name, models[-1].name])
    answers = {model.name: answered(model.label, read_results(model.results)) for model in models}
    last = answers[models[-1].name].rows.values()
    by_outcome = [[row["id"] for row in last if row["cause"] == outcome] for outcome in _WANTED]
    ids = take_turns(by_outcome, SAMPLES)
    return list(read_samples(dataset, split, ids, [answers[name] for name in shown], list(answers.values())))


def answered(label: str, rows: Iterable[Row]) -> Answered:
    """The end-to-end rows of one model's results."""
    return Answered(label, {row["id"]: row for row in with_causes(rows) if row["mode"] == "end_to_end"})


def take_turns(groups: Sequence[Sequence[str]], most: int) -> list[str]:
    """Up to `most` ids: the first of each group, then the second of each, and so on."""
    longest = max(map(len, groups), default=0)
    return [ids[turn] for turn in range(longest) for ids in groups if turn < len(ids)][:most]


def read_samples(
    dataset: Path,
    split: str,
    ids: Iterable[str],
    shown: Sequence[Answered],
    judged: Sequence[Answered] = (),
    longest: int = LONGEST,
    picture_bytes: int | None = None,
) -> Iterator[Sample]:
    """The items of these ids, which the split must have, in that order.

    Args:
        shown: models whose replies are shown.
        judged: models whose verdicts are told.
        longest: characters of a reasoning or an answer that are kept.
        picture_bytes: a picture that is larger as PNG is kept as WebP, which is smaller but not exact.
    """
    items = read_split(dataset, split, ["id", "image", "ground_truth", "puzzle"])
    index = {id: number for number, id in enumerate(read_split(dataset, split, ["id"])["id"])}
    for id in ids:
        item = items[index[id]]
        puzzle = load_spec(item["puzzle"])
        instance = puzzle.read_ground_truth(item["ground_truth"])
        perception = puzzle.perception(instance)
        yield Sample(
            id=id,
            image=_data_uri(item["image"], picture_bytes),
            truth=mark(puzzle, instance, instance, perception, perception),
            replies=[
                _reply(model.label, model.rows[id], puzzle, instance, longest)
                for model in shown
                if id in model.rows
            ],
            verdicts=[
                (model.label, model.rows[id]["cause"] or "wrong") for model in judged if id in model.rows
            ],
        )


def _reply(label: str, row: Row, puzzle: Any, instance: Any, longest: int) -> Reply:
    response = read_response(puzzle, instance, row["text"])
    caption = None
    if response.caption is not None and puzzle.has_perception:
        read = puzzle.read_perception(response.caption, instance)
        caption = mark(
            puzzle, instance, read, puzzle.perception(instance), response.caption[:_LONGEST_CAPTION]
        )
    reasoning = response.reasoning
    return Reply(
        label=label,
        outcome=row["cause"] or "wrong",
        caption=caption,
        reasoning=reasoning if len(reasoning) <= longest else reasoning[:longest] + " …",
        answer=None if response.answer is None else response.answer[:longest],
    )


def _data_uri(image: Image.Image | None, most: int | None) -> str | None:
    if image is None:
        return None
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    kind, data = "png", _encoded(image, "PNG")
    if most is not None and len(data) > most:
        kind, data = "webp", _encoded(image, "WEBP")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()
