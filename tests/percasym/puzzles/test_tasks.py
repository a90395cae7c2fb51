"""Tasks without a p*: figures that do not exist are None, "-" in tables, and never 0."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from percasym.datasets import read_split, write_dataset
from percasym.diagnostics.coupling import coupling_over_steps, read_groups
from percasym.diagnostics.records import ModelRecord
from percasym.distillation import Report, SolverTeacher, distill, keep
from percasym.engines import Completion, Request, Sampling
from percasym.errors import PercasymError
from percasym.evaluation import evaluate
from percasym.grpo.figures import step_figures
from percasym.importing import import_dataset
from percasym.judgement import score
from percasym.metrics import as_json, compare, result_row, summarise, with_causes
from percasym.puzzles import Task, load_puzzle, load_spec, load_task, spec
from percasym.report import ReportInput, write_report
from percasym.response import compose
from percasym.rewards import parse_reward
from percasym.tables import audit_tables, model_table

CHOICE = f"{Path(__file__).parents[3] / 'docs/examples/choice.py'}:Choice"


@pytest.fixture
def choice() -> Task[Any]:
    return load_task(CHOICE)


class Saying:
    """An engine that gives every request the same text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        for request in requests:
            yield Completion(request.id, self.text, 3, "stop")


@pytest.fixture
def dataset(choice: Task[Any], tmp_path: Path) -> Path:
    """Four items of the task, and two of Sudokus."""
    image = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(image, "PNG")
    sudoku = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
    rows = [
        {
            "id": f"choice-{number}",
            "query": "Which?",
            "image": image.getvalue(),
            "ground_truth": choice.ground_truth("AB"[number % 2]),
            "perception": "",
            "puzzle": spec(choice),
            "prefix": "",
            "response": "",
        }
        for number in range(4)
    ]
    for number in range(2):
        item = sudoku.item("test", 0, number)
        own = {"id": item.id, "query": sudoku.query(item.instance), "puzzle": spec(sudoku)}
        own |= {"ground_truth": sudoku.ground_truth(item.instance)}
        rows.append({**rows[0], **own, "perception": sudoku.perception(item.instance)})
    write_dataset(tmp_path / "data", {"test": rows[:4], "validation": rows})
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("text", "a", "format", "complete"),
    [
        ("It is red, so <answer> a </answer>", True, True, True),
        ("<think>red</think> <answer>(A).</answer>", True, True, True),
        ("<answer> B </answer>", False, True, True),
        ("<answer> A </answer> or so", True, False, True),
        (compose("a red square", "so", "A"), True, True, True),
        ("red", False, False, False),
        ("", False, False, False),
    ],
)
def test_a_response_needs_no_caption(
    choice: Task[Any], text: str, a: bool, format: bool, complete: bool
) -> None:
    judged = score(choice, "A", text)
    assert (judged.a, judged.format, judged.complete) == (a, format, complete)
    assert (judged.a_p, judged.a_p_partial, judged.a_own, judged.caption_read) == (None,) * 4


def test_only_a_is_measured_and_a_mixture_counts_what_there_is(dataset: Path) -> None:
    sampling = Sampling()
    engine: Any = Saying("<answer> A </answer>")
    rows = with_causes(evaluate(engine, read_split(dataset, "test"), sampling))
    assert {row["mode"] for row in rows} == {"end_to_end"}
    assert [row["cause"] for row in rows] == ["right", None] * 2
    summary = summarise(rows)
    assert (summary["a"].value, summary["a"].n) == (0.5, 4)
    for figure in ("a_p", "a_p_partial", "a_r", "a_own", "caption_unread"):
        assert summary[figure] is None
    assert compare(rows, rows)["a_p"] is None

    mixed = summarise(evaluate(engine, read_split(dataset, "validation"), sampling))
    assert (mixed["a"].n, mixed["a_p"].n, mixed["a_r"].n) == (6, 2, 2)


def test_tables_show_a_dash(dataset: Path) -> None:
    engine: Any = Saying("<answer> A </answer>")
    summary = as_json(summarise(evaluate(engine, read_split(dataset, "test"), Sampling())))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(model_table({"model": summary}), *audit_tables(summary))
    shown = console.export_text()
    line = next(line for line in shown.splitlines() if "50.0" in line)
    assert line.count(" - ") == 3  # a_p, a_r and unread captions
    assert "0.0" not in next(line for line in shown.splitlines() if " a_p " in line and "model" not in line)


def test_a_report_has_what_there_is(dataset: Path, choice: Task[Any], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from percasym.evaluation import SCHEMA

    records = []
    for name, text in (("base", "no idea"), ("token_mean", "<answer> A </answer>")):
        items = read_split(dataset, "test")
        rows = [
            result_row(item["id"], "end_to_end", text, score(choice, "AB"[n % 2], text), 3, "stop")
            for n, item in enumerate(items)
        ]
        pq.write_table(pa.Table.from_pylist(with_causes(rows), schema=SCHEMA), tmp_path / f"{name}.parquet")
        kind: Any = "base" if name == "base" else "sft"
        records.append(ModelRecord(name, name, kind, tmp_path / f"{name}.parquet", None))
    study = ReportInput(
        title="x", models=records, dataset=dataset, split="test", stand_ins=[], config={}, facts={}
    )
    write_report(study, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "changed the accuracy (a) by +50.0 points" in page
    assert {path.stem for path in (tmp_path / "report" / "figures").iterdir()} >= {"accuracy", "causes"}
    assert not (tmp_path / "report" / "figures" / "caption_credit.svg").exists()


def test_a_reward_that_asks_for_captions_is_refused(choice: Task[Any]) -> None:
    judged = score(choice, "A", "<answer> A </answer>")
    assert parse_reward("outcome")(judged) == 1
    with pytest.raises(PercasymError, match="wants a_p, and these items have no p"):
        parse_reward("perception_aware:0.5")(judged)


def test_rollouts_have_an_outcome_and_nothing_to_follow(tmp_path: Path) -> None:
    record = {"reward": 1.0, "surrogate": None, "tokens": 3, "truncated": False, "a": True, "a_p": None}
    record |= {"a_partial": 1.0, "a_p_partial": None, "a_own": None, "format": True, "complete": True}
    figures = step_figures([[record, {**record, "a": False}]])
    assert figures["a"] == 0.5
    assert figures["a_p"] != figures["a_p"]  # nan
    path = tmp_path / "rollouts.jsonl"
    path.write_text(json.dumps({"id": "x", **record}) + "\n")
    assert coupling_over_steps(read_groups(path)) == []


def test_rows_are_taken_over_and_no_teacher_is_asked(choice: Task[Any], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for color in ("red", "blue"):
        Image.new("RGB", (64, 64), color).save(source / f"{color}.png")
    rows = [
        {"query": "Which?", "image": f"{color}.png", "ground_truth": {"letter": "a"}, "response": response}
        for color, response in (("red", "<answer>A</answer>"), ("blue", None))
    ]
    (source / "train_sft.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (source / "test.jsonl").write_text(json.dumps(rows[1]))
    report = import_dataset(str(source), tmp_path / "data", choice)
    counts = report.splits["train_sft"]
    assert (counts.responses, counts.right, counts.right_caption, counts.both) == (1, 1, None, None)
    assert report.repeats == 1  # the blue picture, and not every picture of the same letter

    taken = read_split(tmp_path / "data", "train_sft").to_list()
    kept = Report()
    assert len(list(keep(taken, kept))) == 1
    assert not kept.rejections
    with pytest.raises(PercasymError, match="no p\\* to reason from"):
        list(distill(taken, SolverTeacher(), 0, 1, Report()))


def test_it_is_no_puzzle(choice: Task[Any]) -> None:
    assert load_spec(spec(choice)).name == "choice"
    with pytest.raises(PercasymError, match="draws no items"):
        load_puzzle(CHOICE)
