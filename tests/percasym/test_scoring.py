import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from percasym.datasets import generate_rows, write_dataset
from percasym.errors import PercasymError
from percasym.metrics import wilson
from percasym.puzzles import load_puzzle
from percasym.response import compose, oracle_prefix
from percasym.scoring import LONGEST_LINE, audit, read_responses, score_responses

N = 6
PUZZLE = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells", "side": 64})
INSTANCES = [PUZZLE.item("test", 0, index).instance for index in range(N)]
CAPTIONS = [PUZZLE.perception(instance) for instance in INSTANCES]
ANSWERS = [PUZZLE.answer(instance) for instance in INSTANCES]
RIGHT = [compose(caption, "why", answer) for caption, answer in zip(CAPTIONS, ANSWERS, strict=True)]
BLIND = compose("what", "why", "ever")

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "sudoku"
    write_dataset(folder, {"test": generate_rows(PUZZLE, "test", 0, N)})
    return folder


@pytest.fixture
def ids(dataset: Path) -> list[str]:
    return [PUZZLE.item("test", 0, index).id for index in range(N)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def lines(*objects: Any, name: str = "responses.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(value) + "\n" for value in objects))
        return path

    return lines


def end_to_end(ids: Sequence[str], texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": id, "response": text} for id, text in zip(ids, texts, strict=True)]


def oracle(ids: Sequence[str], texts: Sequence[str]) -> list[dict[str, str]]:
    return [{**line, "mode": "oracle"} for line in end_to_end(ids, texts)]


def test_rows_come_in_the_order_of_the_data_set(dataset: Path, ids: list[str], write: Write) -> None:
    path = write(*reversed(end_to_end(ids, [*RIGHT[:-1], BLIND])))
    rows = score_responses(dataset, path, "test")
    assert [row["id"] for row in rows] == ids
    assert [row["text"] for row in rows] == [*RIGHT[:-1], BLIND]
    assert [row["a"] for row in rows] == [row["a_p"] for row in rows] == [True] * (N - 1) + [False]
    assert [row["cause"] for row in rows] == ["right"] * (N - 1) + ["both"]
    assert all(row["tokens"] is None and row["mode"] == "end_to_end" for row in rows)


def test_blank_lines_and_other_keys_are_ignored(dataset: Path, ids: list[str], write: Write) -> None:
    path = write(*[{**line, "model": "x"} for line in end_to_end(ids, RIGHT)])
    path.write_text("\n" + path.read_text().replace("\n", "\r\n \n"))
    assert len(score_responses(dataset, path, "test")) == N


def test_an_oracle_response_is_the_whole_text_or_what_follows_the_caption(
    dataset: Path, ids: list[str], write: Write
) -> None:
    rest = [f" why <answer> {answer} </answer>" for answer in ANSWERS]
    whole = [oracle_prefix(caption) + text for caption, text in zip(CAPTIONS, rest, strict=True)]
    own = end_to_end(ids, [BLIND] * N)
    for texts in (whole, rest, [*whole[:3], *rest[3:]], ["\n" + text for text in whole]):
        rows = score_responses(dataset, write(*own, *oracle(ids, texts)), "test")
        given = [row for row in rows if row["mode"] == "oracle"]
        assert all(row["a"] and row["format"] for row in given)
        assert all(
            oracle_prefix(caption) in row["text"] for row, caption in zip(given, CAPTIONS, strict=True)
        )
        assert {row["cause"] for row in rows if row["mode"] == "end_to_end"} == {"perception"}


def test_an_oracle_response_to_another_caption_is_refused(
    dataset: Path, ids: list[str], write: Write
) -> None:
    path = write(*end_to_end(ids, RIGHT), *oracle(ids, [RIGHT[1], *RIGHT[1:]]))
    with pytest.raises(
        PercasymError, match=r"1 oracle response \('sudoku-test-0-0' \(line 7\)\) with a wrong"
    ):
        score_responses(dataset, path, "test")


def test_the_audit_is_what_the_command_prints(dataset: Path, ids: list[str], write: Write) -> None:
    path = write(*end_to_end(ids, [*RIGHT[:4], BLIND, BLIND]), *oracle(ids, RIGHT))
    figures = json.loads(json.dumps(audit(dataset, "test", path), allow_nan=False))
    assert figures["a"] == wilson(4, N)._asdict() | {"value": 4 / N}
    assert set(figures["a_p_partial"]) == {"value", "low", "high", "n"}
    assert figures["a_r"]["value"] == 1.0
    assert figures["causes"] == {"perception": 2, "reasoning": 0, "both": 0, "format": 0}
    assert "comparison" not in figures


def test_two_models_are_compared(dataset: Path, ids: list[str], write: Write) -> None:
    before = write(*end_to_end(ids, [*RIGHT[:2], *[BLIND] * 4]), name="a.jsonl")
    after = write(*end_to_end(ids, [BLIND, *RIGHT[1:]]), name="b.jsonl")
    figures = json.loads(json.dumps(audit(dataset, "test", before, after), allow_nan=False))
    assert (figures["a"]["value"], figures["model_b"]["a"]["value"]) == (2 / 6, 5 / 6)
    difference = figures["comparison"]["a"]
    assert (difference["gained"], difference["lost"]) == (4, 1)
    assert difference["difference"]["value"] == pytest.approx(0.5)
    assert difference["p"] == pytest.approx(0.375)
    assert figures["a_r"] is figures["comparison"]["a_r"] is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"line 2: no JSON \(Expecting property name"),
        (b'{"id": "x", "response": "\xff"}', r"line 2: no JSON \(UnicodeDecodeError\)"),
        (b"[" * 100_000, r"line 2: no JSON \(RecursionError\)"),
        (b"7" * 10_000, r"line 2: no JSON \(ValueError\)"),
        (b"[]", r'line 2: write an object {"id": text, "response": text}'),
        (b'{"id": "x"}', "line 2: write an object"),
        (b'{"id": 7, "response": ""}', "line 2: write an object"),
        (b'{"id": "x", "response": null}', "line 2: write an object"),
        (
            b'{"id": "x", "response": "", "mode": "orcale"}',
            "line 2: no mode 'orcale'; use one of end_to_end, oracle",
        ),
        (b'{"id": "x", "response": "", "mode": {}}', "line 2: no mode {}"),
        (b" " * (LONGEST_LINE + 1), "line 2: longer than 16,777,216 bytes"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_bytes(b'{"id": "x", "response": ""}\n' + line + b"\n")
    with pytest.raises(PercasymError, match=message) as caught:
        read_responses(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PercasymError, match=r"cannot read the responses .*none\.jsonl: No such file"):
        read_responses(tmp_path / "none.jsonl")
    with pytest.raises(PercasymError, match="Is a directory"):
        read_responses(tmp_path)


def test_unknown_ids_are_counted_and_named(dataset: Path, ids: list[str], write: Write) -> None:
    strangers = [{"id": f"sudoku-train-0-{i}" + "x" * 1000 * (i == 1), "response": ""} for i in range(5)]
    with pytest.raises(
        PercasymError, match=r"5 ids \('sudoku-train-0-0' \(line 7\), .*, \.\.\.\) unknown"
    ) as caught:
        score_responses(dataset, write(*end_to_end(ids, RIGHT), *strangers), "test")
    assert len(str(caught.value)) < 500


def test_repeated_ids_are_counted_and_named(dataset: Path, ids: list[str], write: Write) -> None:
    lines = end_to_end(ids, RIGHT)
    with pytest.raises(PercasymError, match=r"1 id \('sudoku-test-0-3' \(line 7\)\) repeated"):
        score_responses(dataset, write(*lines, lines[3]), "test")


def test_missing_ids_are_counted_and_named(dataset: Path, ids: list[str], write: Write) -> None:
    lines, oracles = end_to_end(ids, RIGHT), oracle(ids, RIGHT)
    with pytest.raises(
        PercasymError, match=r"no end_to_end response to 2 of the 6 items .*'sudoku-test-0-0', "
    ):
        score_responses(dataset, write(*lines[2:]), "test")
    with pytest.raises(PercasymError, match="no end_to_end response to 6 of the 6 items"):
        score_responses(dataset, write(), "test")
    with pytest.raises(PercasymError, match=r"no oracle response to 1 of the 6 items .*'sudoku-test-0-5'"):
        score_responses(dataset, write(*lines, *oracles[:-1]), "test")


def test_a_bad_data_set_is_named(dataset: Path, ids: list[str], write: Write, tmp_path: Path) -> None:
    path = write(*end_to_end(ids, RIGHT))
    with pytest.raises(PercasymError, match="has no split 'train_rl'"):
        score_responses(dataset, path, "train_rl")
    with pytest.raises(PercasymError, match="is no data set"):
        score_responses(tmp_path, path, "test")
    table = pq.read_table(next(dataset.glob("data/*.parquet")))
    shard = tmp_path / "data" / "test-00000-of-00001.parquet"
    shard.parent.mkdir()
    pq.write_table(table.drop_columns("puzzle"), shard)
    with pytest.raises(PercasymError, match=r"test-00000-of-00001\.parquet has no column 'puzzle'"):
        score_responses(tmp_path, path, "test")
    content = next(dataset.glob("data/*.parquet")).read_bytes()
    shard.write_bytes(content[:4] + bytes(len(content) - 4_000) + content[4 - 4_000 :])
    with pytest.raises(PercasymError, match=r"cannot read .*test-00000-of-00001\.parquet"):
        score_responses(tmp_path, path, "test")
    shard.write_bytes(content[:-9])
    with pytest.raises(PercasymError, match=r"cannot read .*test-00000-of-00001\.parquet"):
        score_responses(tmp_path, path, "test")


def test_a_bad_row_of_the_data_set_is_named(ids: list[str], write: Write, tmp_path: Path) -> None:
    rows = list(generate_rows(PUZZLE, "test", 0, N))
    path = write(*end_to_end(ids, RIGHT))
    write_dataset(tmp_path / "bad", {"test": [{**rows[0], "ground_truth": "[[9]]"}, *rows[1:]]})
    with pytest.raises(PercasymError, match=r"item 'sudoku-test-0-0' of split 'test' of .*bad: no 4x4"):
        score_responses(tmp_path / "bad", path, "test")
    write_dataset(tmp_path / "twice", {"test": [*rows, rows[0]]})
    with pytest.raises(PercasymError, match="has 1 ids twice"):
        score_responses(tmp_path / "twice", path, "test")
