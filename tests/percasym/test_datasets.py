"""Data sets survive the round trip, and nothing that was there gets lost."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from percasym import datasets as ours
from percasym.datasets import (
    content_digest,
    gather_shards,
    generate_rows,
    iter_split,
    read_split,
    split_names,
    write_dataset,
    write_shard,
)
from percasym.errors import PercasymError
from percasym.puzzles import load_puzzle, load_spec

SUDOKU = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells", "side": 64, "style": "varied"})


def rows(n=5, split="test", seed=0):
    return list(generate_rows(SUDOKU, split, seed, n))


@pytest.fixture
def folder(tmp_path):
    write_dataset(tmp_path / "data", {"test": rows()})
    return tmp_path / "data"


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_round_trip(folder):
    assert list(iter_split(folder, "test")) == rows()
    read = read_split(folder, "test")
    assert read.column_names == list(ours.FEATURES)
    for row, expected in zip(read, rows(), strict=True):
        image = Image.open(io.BytesIO(expected.pop("image")))
        assert (row["image"].mode, row["image"].size) == ("RGB", (64, 64))
        assert row.pop("image").tobytes() == image.convert("RGB").tobytes()
        assert row == expected
        puzzle = load_spec(row["puzzle"])
        instance = puzzle.read_ground_truth(row["ground_truth"])
        assert (puzzle.query(instance), puzzle.perception(instance)) == (row["query"], row["perception"])
    assert read_split(folder, "test", ["id", "puzzle"])[2] == {k: rows()[2][k] for k in ("id", "puzzle")}
    assert [row["id"] for row in iter_split(folder, "test", ["id"])] == [row["id"] for row in rows()]


def test_hugging_face_reads_it(folder, tmp_path):
    write_dataset(folder, {"train_sft": [{**row, "image": None} for row in rows(3, "train_sft")]})
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(loaded[split]) for split in loaded} == {"test": 5, "train_sft": 3}
    assert loaded["test"].features == ours.FEATURES
    assert loaded["test"][0]["image"].size == (64, 64)
    assert loaded["train_sft"][0]["image"] is None
    assert list(loaded["test"]["perception"]) == [row["perception"] for row in rows()]
    streamed = datasets.load_dataset(str(folder), split="test", streaming=True)
    assert next(iter(streamed))["id"] == rows()[0]["id"]


def test_the_card_tells_what_is_there(folder):
    twice = rows(2, "train_sft")
    write_dataset(folder, {"train_sft": [*twice, {**twice[0], "id": "again", "response": "x"}]})
    card = (folder / "README.md").read_text()
    assert "| test | 5 | 5 | 0 |" in card
    assert "| train_sft | 3 | 2 | 1 |" in card
    assert "path: data/train_sft-*.parquet" in card
    assert "8 rows of `sudoku`" in card


def test_an_item_can_be_made_alone_and_seeds_share_nothing():
    assert rows(5)[:3] == rows(3)
    assert rows(5)[3:] == list(generate_rows(SUDOKU, "test", 0, 2, first=3))
    ids, images, puzzles = (
        [{row[key] for row in rows(40, seed=seed)} for seed in (0, 1)]
        for key in ("id", "image", "ground_truth")
    )
    assert not ids[0] & ids[1]
    assert not images[0] & images[1]
    assert not puzzles[0] & puzzles[1]


def test_the_style_changes_the_image_alone():
    clean = list(generate_rows(SUDOKU, "test", 0, 3, style="clean"))
    for row, other in zip(rows(3), clean, strict=True):
        assert row["image"] != other["image"]
        assert {**row, "image": 0} == {**other, "image": 0}


def test_the_same_rows_have_the_same_digest(folder, tmp_path):
    write_dataset(tmp_path / "again", {"test": iter(rows())})
    assert content_digest(tmp_path / "again") == content_digest(folder)
    (folder / "README.md").write_text("another card")
    assert content_digest(tmp_path / "again") == content_digest(folder)
    write_dataset(tmp_path / "other", {"test": rows(seed=1)})
    assert content_digest(tmp_path / "other") != content_digest(folder)
    write_dataset(folder, {"validation": rows(2, "validation")})
    assert content_digest(tmp_path / "again") != content_digest(folder)


def test_shards_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "GROUP_ROWS", 3)
    monkeypatch.setattr(ours, "SHARD_BYTES", 1)
    write_dataset(tmp_path, {"test": rows(8)})
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == [f"test-0000{k}-of-00003.parquet" for k in range(3)]
    assert list(iter_split(tmp_path, "test")) == rows(8)
    assert read_split(tmp_path, "test")["id"] == [row["id"] for row in rows(8)]
    (tmp_path / "data" / names[1]).unlink()  # a split is complete or not there
    assert split_names(tmp_path) == []
    write_dataset(tmp_path, {"test": rows(2)})
    assert list(iter_split(tmp_path, "test")) == rows(2)


def test_rows_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "GROUP_ROWS", 2)
    seen = []

    def source():
        for row in rows(9):
            seen.append(sum(path.stat().st_size for path in tmp_path.rglob("test.*")))
            yield row

    write_dataset(tmp_path, {"test": source()})
    assert seen[-1] > seen[2] > 0


def shards(folder, parts):
    """A file for each list of rows."""
    paths = [folder / f"part {number}" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        write_shard(path, part)
    return paths


def test_shards_that_were_written_apart_become_a_data_set(folder, tmp_path):
    apart = tmp_path / "apart"
    gather_shards(tmp_path / "one", {"test": shards(apart, [rows()])})
    assert content(tmp_path / "one") == content(folder)  # one shard: as if the rows had been written

    everything = {"test": rows(1), "train_sft": rows(7, "train_sft")}
    parts = shards(apart, [everything["train_sft"][:3], [], everything["train_sft"][3:], everything["test"]])
    gather_shards(tmp_path / "all", {"train_sft": parts[:3], "test": parts[3:]})
    for split, expected in everything.items():
        assert list(iter_split(tmp_path / "all", split)) == expected
    assert sorted(path.name for path in (tmp_path / "all" / "data").iterdir()) == [
        "test-00000-of-00001.parquet",
        *(f"train_sft-0000{k}-of-00003.parquet" for k in range(3)),
    ]
    assert "| train_sft | 7 | 7 | 0 |" in (tmp_path / "all" / "README.md").read_text()
    assert not list(apart.iterdir())
    loaded = datasets.load_dataset(str(tmp_path / "all"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train_sft"]["id"] == [row["id"] for row in everything["train_sft"]]


def test_gathering_changes_nothing_that_is_there(folder, tmp_path):
    before = content(folder)
    gather_shards(folder, {"test": shards(tmp_path / "same", [rows()])})
    assert content(folder) == before
    others = shards(tmp_path / "others", [rows(2, "train_sft"), rows(2), rows(2)])
    with pytest.raises(PercasymError, match="already has a split 'test' with other rows"):
        gather_shards(folder, {"train_sft": others[:1], "test": others[1:]})
    with pytest.raises(PercasymError, match="'train_sft' has no rows"):
        gather_shards(folder, {"train_sft": shards(tmp_path / "empty", [[], []])})
    with pytest.raises(PercasymError, match="cannot be called"):
        gather_shards(folder, {"../data": others[:1]})
    with pytest.raises(PercasymError, match=r"cannot write the data set .*No such file"):
        gather_shards(folder, {"train_sft": [tmp_path / "nowhere"]})
    assert content(folder) == before
    assert all(path.exists() for path in others)


def test_a_shard_is_whole_or_not_there(tmp_path, monkeypatch):
    def broken():
        yield from rows(3)
        raise PercasymError("no more")

    with pytest.raises(PercasymError, match="no more"):
        write_shard(tmp_path / "new" / "shard", broken())
    (tmp_path / "file").touch()
    with pytest.raises(PercasymError, match=r"^cannot write .*file/shard: "):
        write_shard(tmp_path / "file" / "shard", rows(1))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(PercasymError, match=r"^cannot write .*shard: No space left on device$"):
        write_shard(tmp_path / "new" / "shard", rows(3))
    assert not list((tmp_path / "new").iterdir())


def test_the_same_split_again_is_nothing_new_and_another_is_refused(folder):
    before = content(folder)
    write_dataset(folder, {"test": rows()})
    assert content(folder) == before
    with pytest.raises(PercasymError, match="already has a split 'test' with other rows"):
        write_dataset(folder, {"validation": rows(1, "validation"), "test": rows(seed=1)})
    assert content(folder) == before


def test_a_failing_source_leaves_all_as_it_was(folder, tmp_path):
    def broken():
        yield from rows(3)
        raise PercasymError("no more")

    before = content(folder)
    for target in (folder, tmp_path / "new"):
        with pytest.raises(PercasymError, match="no more"):
            write_dataset(target, {"train_sft": broken()})
    assert content(folder) == before
    assert not (tmp_path / "new").exists()


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_line_and_loses_nothing(folder, monkeypatch):
    before = content(folder)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(PercasymError, match=r"cannot write the data set .*: No space left on device$"):
        write_dataset(folder, {"train_sft": rows(3)})
    assert content(folder) == before


KILLED = """
import os, signal, sys
from percasym.datasets import generate_rows, write_dataset
from percasym.puzzles import load_puzzle
puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2})
def rows():
    yield from generate_rows(puzzle, "train_sft", 0, 600)
    os.kill(os.getpid(), signal.SIGKILL)
write_dataset(sys.argv[1], {"train_sft": rows()})
"""


def test_a_killed_writer_loses_nothing_and_its_leftovers_go(folder):
    before = content(folder)
    root = Path(ours.__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(folder.glob(".writing-*"))
    assert list(iter_split(folder, "test")) == rows()
    assert content_digest(folder)
    write_dataset(folder, {"test": rows()})
    assert content(folder) == before


def test_what_is_no_data_set_is_said(folder, tmp_path):
    for reader in (read_split, lambda *a: list(iter_split(*a)), lambda folder, _: content_digest(folder)):
        with pytest.raises(PercasymError, match="is no data set"):
            reader(tmp_path / "nowhere", "test")
    with pytest.raises(PercasymError, match="has no split 'train_rl': it has test"):
        read_split(folder, "train_rl")
    with pytest.raises(PercasymError, match="has no rows"):
        write_dataset(tmp_path / "empty", {"test": []})
    assert not (tmp_path / "empty").exists()
    with pytest.raises(PercasymError, match="cannot be called"):
        write_dataset(tmp_path / "empty", {"../test": rows(1)})


def damage(path):
    data = bytearray(path.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)


def drop(column):
    def change(path):
        pq.write_table(pq.read_table(path).drop_columns([column]), path)

    return change


def retype(path):
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", [list(range(len(table)))]), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("ground_truth"), "has no column 'ground_truth'"),
        (drop("id"), "has no column 'id'"),
        (retype, "column 'id' is int64, not string"),
        (damage, "cannot read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot read"),
        (lambda path: path.write_bytes(b""), "cannot read"),
        (lambda path: path.write_bytes(b"x" * 1000), "cannot read"),
    ],
)
def test_a_bad_shard_is_one_line(folder, change, message):
    change(folder / "data" / "test-00000-of-00001.parquet")
    for reader in (read_split, lambda *a: list(iter_split(*a))):
        with pytest.raises(PercasymError, match=message) as error:
            reader(folder, "test")
        assert "\n" not in str(error.value)


def test_images_are_bounded_when_they_are_read(folder):
    huge = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(huge, "PNG")
    write_dataset(folder, {"validation": [{**rows(1)[0], "image": huge.getvalue()}]})
    with pytest.raises(PercasymError, match="10000 x 10000"):
        read_split(folder, "validation")[0]
