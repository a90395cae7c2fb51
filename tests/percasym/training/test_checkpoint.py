"""What is on disk is whole or not there."""

import errno
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from percasym.errors import PercasymError
from percasym.folders import write_text
from percasym.seals import seal
from percasym.training.checkpoint import Checkpoints, write_folder

STATE = (
    {"w": torch.arange(6.0).reshape(2, 3)},
    {"state": {"w": {"step": torch.tensor(1.0)}}},
    {"seconds": 1.5},
)


def save(checkpoints: Checkpoints, step: int) -> None:
    checkpoints.save(step, *STATE)


def test_the_last_checkpoint_comes_back_and_is_the_only_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.last() is None
    for step in (9, 10):
        save(checkpoints, step)
    last = checkpoints.last()
    assert last is not None
    step, weights, optimizer, progress = last
    assert step == 10
    assert torch.equal(weights["w"], STATE[0]["w"])
    assert optimizer == STATE[1]
    assert progress == STATE[2]
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step_10"]
    checkpoints.remove()
    assert checkpoints.last() is None


def test_a_checkpoint_cut_off_while_written_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    torch.save(0, tmp_path / "step_1" / "optimizer.pt")
    (tmp_path / "step_1").rename(tmp_path / ".step_2.writing")
    assert checkpoints.last() is None
    save(checkpoints, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step_2"]


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.pt", "progress.json"])
def test_a_damaged_checkpoint_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    (tmp_path / "step_1" / name).write_bytes(b"garbage")
    with pytest.raises(PercasymError, match="step_1 is damaged"):
        checkpoints.last()


def test_a_flipped_bit_does_not_load(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    rng = random.Random(0)
    files = sorted(path for path in (tmp_path / "step_1").iterdir() if path.is_file())
    for path in rng.choices(files, k=100):
        data = path.read_bytes()
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(PercasymError, match="step_1 is damaged"):
            checkpoints.last()
        path.write_bytes(data)
    assert checkpoints.last() is not None


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)
    torch.save(Harmful(), tmp_path / "step_1" / "optimizer.pt")
    seal(tmp_path / "step_1")
    with pytest.raises(PercasymError, match="damaged"):
        checkpoints.last()
    assert not (tmp_path / "harm").exists()


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    """/dev/full takes nothing, as a full disk does."""
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1)

    def fill(folder: Path) -> None:
        (folder / "fine").write_text("fine")
        (folder / "large").symlink_to("/dev/full")
        (folder / "large").write_text("x" * 10**6)

    with pytest.raises(PercasymError, match=f"cannot write .*: {os.strerror(errno.ENOSPC)}"):
        write_folder(tmp_path / "step_2", [fill])
    assert [path.name for path in tmp_path.iterdir()] == ["step_1"]


def test_weights_that_do_not_fit_on_the_disk_are_one_line(tmp_path: Path) -> None:
    """torch and safetensors have errors of their own for what the disk refuses."""

    def save_with_torch(folder: Path) -> None:
        torch.save(torch.zeros(10**6), "/dev/full")

    def save_with_safetensors(folder: Path) -> None:
        (folder / "weights").mkdir()
        save_file({"w": torch.zeros(10**6)}, folder / "weights")

    for write in (save_with_torch, save_with_safetensors):
        with pytest.raises(PercasymError, match="cannot write"):
            write_folder(tmp_path / "step_2", [write])
        assert not any(tmp_path.iterdir())


def test_a_text_is_replaced_in_one_go(tmp_path: Path) -> None:
    write_text(tmp_path / "note", "old")
    write_text(tmp_path / "note", "new")
    assert (tmp_path / "note").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
    with pytest.raises(PercasymError, match="cannot write"):
        write_text(tmp_path / "nowhere" / "note", "new")
