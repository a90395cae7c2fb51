"""Shards: together they are the data set, and each can be made alone, here or by a child."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percasym import generation, launch
from percasym.datasets import gather_shards, generate_rows, iter_split
from percasym.errors import PercasymError
from percasym.generation import FILE_ROWS, Shard, files, make, plan
from percasym.puzzles import Split
from percasym.sections import DataSection

SIZES: dict[Split, int] = {"train_sft": 5, "train_rl": 3, "validation": 2, "test": 1}


def section(train: int = 5, **changes: object) -> DataSection:
    small = {"puzzle_options": {"rows": 2, "cols": 2}, "text": "cells", "side": 64, "style": "clean"}
    sizes = {"train_items": train, "rl_items": 3, "validation_items": 2, "test_items": 1}
    return DataSection.model_validate({**small, **sizes, **changes})


@given(st.integers(1, 1_000_000), st.integers(1, 100_000))
def test_shards_hold_each_row_once_and_in_order(size: int, shard_items: int) -> None:
    shards = plan(section(size), shard_items, Path("x"))
    pieces = [piece for shard in shards for piece in shard.pieces]
    found: dict[Split, list[int]] = {split: [0] for split in SIZES}
    for piece in pieces:
        assert piece.first == found[piece.split][-1]
        found[piece.split].append(piece.first + piece.rows)
    assert {split: ends[-1] for split, ends in found.items()} == {**SIZES, "train_sft": size}
    assert all(
        piece.rows == FILE_ROWS
        for piece in pieces
        if piece.split == "train_sft" and piece.first + piece.rows < size
    )
    assert all(shard.rows <= shard_items or len(shard.pieces) == 1 for shard in shards)
    assert len({shard.out for shard in shards}) == len(shards)
    assert {split: len(paths) for split, paths in files(shards).items()} == {
        split: len(ends) - 1 for split, ends in found.items()
    }


@given(st.integers(1, 1_000_000), st.integers(1, 100_000), st.integers(1, 100_000))
def test_the_files_do_not_depend_on_how_the_work_is_shared(size: int, one: int, other: int) -> None:
    def pieces(shard_items: int) -> list[object]:
        return [piece for shard in plan(section(size), shard_items, Path("x")) for piece in shard.pieces]

    assert pieces(one) == pieces(other)


@pytest.mark.parametrize("shard_items", [1, 3, 100])
def test_shards_are_the_rows_of_the_puzzle(
    shard_items: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "FILE_ROWS", 2)
    config = section(seed=3)
    shards = plan(config, shard_items, tmp_path)
    for shard in reversed(shards):
        make(shard, lambda done: None)
    gather_shards(tmp_path / "data", files(shards))
    puzzle = config.load_puzzle("clean")
    for split, size in SIZES.items():
        assert list(iter_split(tmp_path / "data", split)) == list(generate_rows(puzzle, split, 3, size))


def test_a_shard_that_was_broken_off_goes_on_with_the_next_file(tmp_path: Path) -> None:
    (shard,) = plan(section(), 100, tmp_path)

    def tell(done: int) -> None:
        told.append(done)
        if done == 7 and len(told) == 7:
            raise KeyboardInterrupt

    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        make(shard, tell)
    assert [path.name for path in shard.out.iterdir()] == ["train_sft-0.parquet"]
    make(shard, tell)
    assert told == [1, 2, 3, 4, 5, 6, 7, 5, 6, 7, 8, 9, 10, 11]
    assert len(list(shard.out.iterdir())) == 4


def test_a_child_makes_the_same_bytes_and_tells_how_far_it_is(tmp_path: Path) -> None:
    (here,) = plan(section(600), 1000, tmp_path / "here")
    (there,) = plan(section(600), 1000, tmp_path / "there")
    make(here, lambda done: None)
    lines = list(launch.run("percasym.generation", there, tmp_path / "child"))
    assert lines == [{"done": 512, "total": 606}, {"done": 606, "total": 606}]
    assert content(there) == content(here)


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    (shard,) = plan(section(), 1000, tmp_path)
    wrong = shard.model_copy(update={"puzzle": "sudoki"})
    with pytest.raises(PercasymError, match=r"^no puzzle 'sudoki'"):
        list(launch.run("percasym.generation", wrong, tmp_path / "child"))


def content(shard: Shard) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shard.out.iterdir()}
