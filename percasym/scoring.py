"""Audits the responses of any model, from a file, against a data set; nothing is trained or generated.

A file of responses has one JSON object a line; keys other than these are ignored:

    {"id": "sudoku-test-0-17", "response": "<caption> ... </caption> ... <answer> ... </answer>"}
    {"id": "sudoku-test-0-17", "response": "...", "mode": "oracle"}

A line may also say why its text ended, {"finish_reason": "length"} where it was cut off at a limit, as
servers tell it; then the share of these is a figure.

It holds one response for every item of the split, and if it has any of mode "oracle", one of these for every
item as well. An oracle response is what the model wrote after the right caption was put into its mouth:
either the whole text, which begins with that caption, or only what follows it. A text that begins with
another caption could be either of the two, or a mistake in the prompt, and is refused.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.judgement import score
from percasym.metrics import Mode, Row, as_json, compare, result_row, summarise, with_causes
from percasym.puzzles import Task, load_spec
from percasym.response import oracle_prefix, parse

LONGEST_LINE = 16 << 20  # bytes
MODES: tuple[Mode, ...] = get_args(Mode)


class ResponseLine(NamedTuple):
    """A line of a file of responses."""

    number: int
    id: str
    mode: Mode
    text: str
    finish_reason: str | None = None


def audit(
    dataset: str | Path, split: str, responses: str | Path, responses_b: str | Path | None = None
) -> dict[str, Any]:
    """The figures of one model or two, ready for `json.dumps`.

    They are those of `metrics.summarise`; with a second model its own ones are under `model_b`, and what
    `metrics.compare` says of b against a under `comparison`.

    Raises:
        PercasymError: as `score_responses`; or just one of the two models has the items' responses of a mode.
    """
    rows = score_responses(dataset, responses, split)
    figures = summarise(rows)
    if responses_b is not None:
        rows_b = score_responses(dataset, responses_b, split)
        figures |= {"model_b": summarise(rows_b), "comparison": compare(rows, rows_b)}
    written: dict[str, Any] = as_json(figures)
    return written


def score_responses(dataset: str | Path, responses: str | Path, split: str) -> list[Row]:
    """A scored row for each response, in the order of the data set, causes included.

    Raises:
        PercasymError: the data set, its split or a shard cannot be read or lacks a column; the file cannot be
            read; a line is no response or is too long; ids are unknown, repeated or missing; an oracle
            response begins with a caption that is not the right one.
    """
    items = read_split(dataset, split, ["id", "ground_truth", "puzzle"])
    path = Path(responses)
    lines = _index(path, read_responses(path), items["id"], f"split {split!r} of {dataset}")
    rows: list[Row] = []
    refused: list[ResponseLine] = []
    for item in items:
        try:
            puzzle = load_spec(item["puzzle"])
            instance = puzzle.read_ground_truth(item["ground_truth"])
        except PercasymError as error:
            raise PercasymError(
                f"item {_shown(item['id'])} of split {split!r} of {dataset}: {error}"
            ) from None
        for mode in MODES:
            line = lines.get((mode, item["id"]))
            if line is None:
                continue
            text = line.text if mode == "end_to_end" else _whole_oracle_text(puzzle, instance, line.text)
            if text is None:
                refused.append(line)
            else:
                judged = score(puzzle, instance, text)
                rows.append(result_row(item["id"], mode, text, judged, finish_reason=line.finish_reason))
    if refused:
        raise PercasymError(
            f"{path}: {_some(refused, 'oracle response')} with a wrong caption at the beginning; "
            "give the whole text, which begins with the right caption, or only what follows that"
        )
    return with_causes(rows)


def read_responses(path: Path) -> list[ResponseLine]:
    """The lines of a file of responses, blank ones left out.

    Raises:
        PercasymError: the file cannot be read, or a line is no response or longer than `LONGEST_LINE`.
    """
    lines = []
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(data) > LONGEST_LINE:
                    raise PercasymError(f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes")
                if data.strip():
                    lines.append(_response_line(data, number, f"{path}, line {number}"))
    except OSError as error:
        raise PercasymError(f"cannot read the responses {path}: {error.strerror}") from error
    return lines


def _response_line(data: bytes, number: int, place: str) -> ResponseLine:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise PercasymError(f"{place}: no JSON ({reason}); write one object a line") from None
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("id", "response")):
        raise PercasymError(f'{place}: write an object {{"id": text, "response": text}}')
    mode = value.get("mode", "end_to_end")
    if mode not in MODES:
        raise PercasymError(f"{place}: no mode {_shown(mode)}; use one of {', '.join(MODES)}, or none")
    ended = value.get("finish_reason")
    if not isinstance(ended, str | None):
        raise PercasymError(f'{place}: finish_reason is no text: write "length" or "stop", or leave it out')
    return ResponseLine(number, value["id"], mode, value["response"], ended)


def _index(
    path: Path, lines: Iterable[ResponseLine], ids: Sequence[str], source: str
) -> dict[tuple[Mode, str], ResponseLine]:
    """The lines by mode and id: exactly those that `source` with its `ids` asks for."""
    known = dict.fromkeys(ids)
    if len(known) < len(ids):
        raise PercasymError(f"{source} has {len(ids) - len(known)} ids twice; generate the data set again")
    index: dict[tuple[Mode, str], ResponseLine] = {}
    unknown, repeated = [], []
    for line in lines:
        if line.id not in known:
            unknown.append(line)
        elif (line.mode, line.id) in index:
            repeated.append(line)
        index.setdefault((line.mode, line.id), line)
    if unknown:
        raise PercasymError(f"{path}: {_some(unknown, 'id')} unknown to {source}; is it another split?")
    if repeated:
        raise PercasymError(f"{path}: {_some(repeated, 'id')} repeated; keep one response to each item")
    for mode in MODES:
        missing = [id for id in known if (mode, id) not in index]
        if missing and (mode == "end_to_end" or len(missing) < len(known)):
            some = ", ".join(map(_shown, missing[:3]))
            raise PercasymError(
                f"{path}: no {mode} response to {len(missing)} of the {len(known)} items of {source}, "
                f"first {some}; write a line for each"
            )
    return index


def _whole_oracle_text(puzzle: Task[Any], instance: Any, text: str) -> str | None:
    """An oracle response with the right caption at its beginning; None if it begins with another one."""
    response = parse(text)
    if response.caption is None or response.caption_span is None or text[: response.caption_span[0]].strip():
        return f"{oracle_prefix(puzzle.perception(instance))} {text}"
    return text if puzzle.score_perception(instance, response.caption).exact else None


def _some(lines: Sequence[ResponseLine], noun: str) -> str:
    """How many lines there are, and the first of them."""
    first = ", ".join(f"{_shown(line.id)} (line {line.number})" for line in lines[:3])
    return f"{len(lines)} {noun}{'s' * (len(lines) > 1)} ({first}{', ...' * (len(lines) > 3)})"


def _shown(value: Any) -> str:
    """A value of the file, short enough for a message of one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
