"""Each item is measured exactly once in each mode, however often the evaluation is interrupted."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from percasym.datasets import generate_rows, read_split, write_dataset
from percasym.engines import Completion, Request, Sampling
from percasym.errors import PercasymError
from percasym.evaluation import COLUMNS, EvaluationConfig, evaluate, main, run
from percasym.journal import Journal
from percasym.judgement import score
from percasym.metrics import with_causes
from percasym.miniature import TinyConfig
from percasym.models.tiny import build_tiny
from percasym.puzzles import load_puzzle
from percasym.response import oracle_prefix
from percasym.seals import check

PUZZLE = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells", "side": 64})
ITEMS = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, {"test": generate_rows(PUZZLE, "test", 0, ITEMS)})
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TinyConfig(layers=1, vision_layers=1)
    return build_tiny(config, PUZZLE.vocabulary(), tmp_path_factory.mktemp("model"))


class Scripted:
    """An engine that says what it is told, the last request first, and remembers what it was asked."""

    def __init__(self, sayings: dict[str, str]) -> None:
        self.sayings = sayings
        self.asked: list[Request] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        self.asked = list(requests)
        for request in reversed(self.asked):
            yield Completion(request.id, self.sayings[request.id], 7, "stop")


def test_a_row_has_the_text_and_the_score_of_each_mode(dataset: Path) -> None:
    rows = list(read_split(dataset, "test", COLUMNS))[:2]
    answers = [PUZZLE.answer(PUZZLE.read_ground_truth(row["ground_truth"])) for row in rows]
    right, wrong = (row["id"] for row in rows)
    engine = Scripted({
        f"end_to_end/{right}": f"{oracle_prefix(rows[0]['perception'])} so <answer> {answers[0]} </answer>",
        f"oracle/{right}": f" so <answer> {answers[0]} </answer>",
        f"end_to_end/{wrong}": f"{oracle_prefix('a1 1 a2 2')} so <answer> {answers[0]} </answer>",
        f"oracle/{wrong}": f" so <answer> {answers[1]} </answer>",
    })  # fmt: skip
    found = {(row["id"], row["mode"]): row for row in with_causes(evaluate(engine, rows, Sampling()))}

    assert {request.id: request.prefix for request in engine.asked} == {
        f"end_to_end/{right}": "",
        f"oracle/{right}": oracle_prefix(rows[0]["perception"]),
        f"end_to_end/{wrong}": "",
        f"oracle/{wrong}": oracle_prefix(rows[1]["perception"]),
    }
    assert all(request.image is not None and request.image.size == (64, 64) for request in engine.asked)
    own, oracle = found[right, "end_to_end"], found[right, "oracle"]
    assert (own["a"], own["a_p"], own["format"], own["cause"]) == (True, True, True, "right")
    assert (own["tokens"], own["finish_reason"]) == (7, "stop")
    assert oracle["text"] == oracle_prefix(rows[0]["perception"]) + engine.sayings[f"oracle/{right}"]
    assert (oracle["a"], oracle["a_p"], oracle["format"], oracle["cause"]) == (True, None, True, None)
    assert found[wrong, "end_to_end"]["cause"] == "perception"  # for it is right when given the caption


def test_modes_and_finished_responses(dataset: Path) -> None:
    rows = list(read_split(dataset, "test", COLUMNS))
    sayings = {f"{mode}/{row['id']}": "" for row in rows for mode in ("end_to_end", "oracle")}
    engine = Scripted(sayings)
    finished = {(rows[0]["id"], "oracle"), (rows[1]["id"], "end_to_end")}
    found = [(row["id"], row["mode"]) for row in evaluate(engine, rows, Sampling(), finished=finished)]
    assert len(found) == 2 * ITEMS - 2
    assert set(found).isdisjoint(finished)
    assert len(list(evaluate(engine, rows, Sampling(), modes=["oracle"]))) == ITEMS


def test_an_id_that_occurs_twice(dataset: Path) -> None:
    row = read_split(dataset, "test", COLUMNS)[0]
    with pytest.raises(PercasymError, match="two items with the id 'sudoku-test-0-0'"):
        list(evaluate(Scripted({}), [row, row], Sampling()))


def config(model: Path, dataset: Path, out: Path, **settings: Any) -> EvaluationConfig:
    given = {"model": str(model), "dataset": str(dataset), "out": out, "max_new_tokens": 12, **settings}
    return EvaluationConfig.model_validate(given)


def table(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "results.parquet").to_pylist()
    return rows


def test_results_and_progress(model: Path, dataset: Path, tmp_path: Path) -> None:
    records = list(run(config(model, dataset, tmp_path, limit=4)))
    assert records[0] == {"kind": "progress", "done": 0, "total": 8}
    assert records[-1] == {"kind": "progress", "done": 8, "total": 8}
    ids = read_split(dataset, "test", ["id"])["id"][:4]
    assert [(row["id"], row["mode"]) for row in table(tmp_path)] == [
        (id, mode) for id in ids for mode in ("end_to_end", "oracle")
    ]
    assert all(row["cause"] for row in table(tmp_path) if row["mode"] == "end_to_end")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["a"]["n"] == summary["a_p"]["n"] == summary["a_r"]["n"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("evaluation.json", "results.parquet", "seal.json", "summary.json")
    ]
    check(tmp_path)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_interrupted_evaluation_goes_on(
    model: Path, dataset: Path, tmp_path: Path, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("percasym.evaluation.PROGRESS_SECONDS", 0.0)
    list(run(config(model, dataset, tmp_path / "unbroken", temperature=temperature)))
    broken = config(model, dataset, tmp_path / "broken", temperature=temperature, batch_size=1)
    for record in run(broken):
        if record["done"] == 5:
            break
    with (broken.out / "results.jsonl").open("a") as journal:
        journal.write('{"id": "sudoku-te')
    assert not (broken.out / "results.parquet").exists()
    records = list(run(broken))
    assert [record["done"] for record in records] == [5, *range(6, 13), 12]
    assert table(broken.out) == table(tmp_path / "unbroken")


def test_a_killed_evaluation_goes_on(model: Path, dataset: Path, tmp_path: Path) -> None:
    settings = config(model, dataset, tmp_path / "out", batch_size=1, max_new_tokens=100)
    path = tmp_path / "config.json"
    path.write_text(settings.model_dump_json())
    journal = settings.out / "results.jsonl"
    child = subprocess.Popen([sys.executable, "-m", "percasym.evaluation", str(path)], cwd=Path.cwd())
    while child.poll() is None and (not journal.exists() or journal.read_text().count("\n") < 4):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with Journal(journal) as kept:
        before = kept.values
    assert main([str(path)]) == 0
    found = {(row["id"], row["mode"]): row["text"] for row in table(settings.out)}
    assert Counter(mode for _, mode in found) == {"end_to_end": ITEMS, "oracle": ITEMS}
    assert all(found[row["id"], row["mode"]] == row["text"] for row in before)


def test_a_folder_belongs_to_one_evaluation(model: Path, dataset: Path, tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(model, copied)

    def responded(**settings: Any) -> int:
        """How many responses there are when it begins; it is stopped when all are there but no table."""
        running = run(config(**{"model": copied, "dataset": dataset, "out": tmp_path / "out", **settings}))
        done: int = next(running)["done"]
        while next(running)["done"] < 2 * ITEMS:
            pass
        return done

    assert responded() == 0
    assert responded(batch_size=3, threads=1) == 2 * ITEMS
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    for settings, name in (({"max_new_tokens": 11}, "max_new_tokens"), ({"limit": 2}, "limit")):
        with pytest.raises(PercasymError, match=f"holds another evaluation, with another {name}"):
            responded(**settings)
    build_tiny(TinyConfig(layers=1, vision_layers=1, seed=1), PUZZLE.vocabulary(), copied)
    with pytest.raises(PercasymError, match="holds another evaluation, with another weights"):
        responded()
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before
    assert responded(out=tmp_path / "another") == 0


def test_a_finished_evaluation_is_only_judged_again(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(model, dataset, tmp_path)
    list(run(settings))
    before = table(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("percasym.evaluation.open_engine", lambda config: pytest.fail("it is asked again"))
        right = partial(replace, a=True)
        patch.setattr("percasym.evaluation.score", lambda *given: right(score(*given)))
        assert [record["done"] for record in run(settings)] == [2 * ITEMS]
    assert [{**row, "a": True, "cause": None} for row in before] == [
        {**row, "cause": None} for row in table(tmp_path)
    ]
    check(tmp_path)
    with pytest.raises(PercasymError, match="holds another evaluation"):
        list(run(config(model, dataset, tmp_path, seed=1)))
    path = tmp_path / "results.parquet"
    path.write_bytes(path.read_bytes()[:-50] + bytes(50))
    (tmp_path / "seal.json").unlink()
    with pytest.raises(PercasymError, match=r"results\.parquet is damaged: delete it"):
        list(run(settings))


def test_a_mistake_before_the_first_response_leaves_the_folder_free(
    model: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine(config: Any) -> None:
        raise PercasymError("no such engine")

    with monkeypatch.context() as patch:
        patch.setattr("percasym.evaluation.open_engine", no_engine)
        with pytest.raises(PercasymError, match="no such engine"):
            list(run(config(model, dataset, tmp_path, max_new_tokens=11)))
    list(run(config(model, dataset, tmp_path)))


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def rows_with(**values: Any) -> list[dict[str, Any]]:
    rows = list(generate_rows(PUZZLE, "test", 0, 2))
    rows[1] |= values
    return rows


BAD_ROWS: dict[str, dict[str, Any]] = {
    "no readable": {"image": b"no image"},
    "no readable PNG": {"image": png(200)[:60]},
    "10000 x 10000": {"image": png(10_000)},
    "two items": {"id": "sudoku-test-0-0"},
    "no puzzle 'chess'": {"puzzle": '{"name": "chess", "config": {}}'},
    "of a Sudoku": {"ground_truth": "[[1, 2"},
}


@pytest.mark.parametrize("message", BAD_ROWS)
def test_a_bad_row_is_one_line_and_exit_code_2(
    message: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "data", {"test": rows_with(**BAD_ROWS[message])})
    assert_refused(message, tmp_path, capfd, model=str(model), dataset=str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("not a checkpoint", {"model": "{tmp}/data"}),
        ("no checkpoint", {"model": "{tmp}/nothing"}),
        ("no data set", {"dataset": "{tmp}"}),
        ("no split 'tset'", {"split": "tset"}),
        ("batch_size", {"batch_size": 0}),
        ("top_p", {"top_p": 1.5}),
        ("beam_size", {"beam_size": 3}),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(
    message: str,
    settings: dict[str, Any],
    model: Path,
    dataset: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "data").mkdir()
    settings = {name: str(value).format(tmp=tmp_path) for name, value in settings.items()}
    assert_refused(message, tmp_path, capfd, **{"model": str(model), "dataset": str(dataset), **settings})


def test_a_missing_column_and_a_corrupt_shard(
    model: Path, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (shard,) = (dataset / "data").iterdir()
    bad = tmp_path / "data" / "data" / shard.name
    bad.parent.mkdir(parents=True)
    pq.write_table(pq.read_table(shard).drop_columns(["perception"]), bad)
    given = {"model": str(model), "dataset": str(tmp_path / "data")}
    assert_refused("'perception'", tmp_path, capfd, **given)
    bad.write_bytes(shard.read_bytes()[:-100])
    assert_refused(shard.name, tmp_path, capfd, **given)


def test_a_config_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    for content, message in ((None, "cannot read"), ("{", "JSON"), ("{}", "model")):
        if content is not None:
            path.write_text(content)
        assert main([str(path)]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert message in printed.err


def test_a_full_disk_loses_nothing(
    model: Path,
    dataset: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    settings = config(model, dataset, tmp_path / "out")
    path = tmp_path / "config.json"
    path.write_text(settings.model_dump_json())
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        assert main([str(path)]) == 2
    assert "No space left" in capfd.readouterr().err
    assert sorted(path.name for path in settings.out.iterdir()) == ["evaluation.json", "results.jsonl"]
    assert next(run(settings))["done"] == 2 * ITEMS


def assert_refused(message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], **settings: Any) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"out": str(tmp_path / "out"), "max_new_tokens": 4, **settings}))
    capfd.readouterr()
    assert main([str(path)]) == 2
    printed = capfd.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert all(json.loads(line)["kind"] == "progress" for line in printed.out.splitlines())
    assert not (tmp_path / "out" / "results.parquet").exists()
