"""A folder that is sealed tells every flipped bit, and nothing else."""

import random
from pathlib import Path

import pytest

from percasym.seals import SEAL, Damaged, check, fault, read_seal, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights é").write_bytes(random.Random(0).randbytes(5000))
    (folder / "empty").touch()
    (folder / "metrics.jsonl").write_text("{}\n")
    seal(folder)
    return folder


def test_a_sealed_folder_has_no_fault(folder: Path) -> None:
    assert fault(folder) == ""
    check(folder)
    assert set(read_seal(folder) or {}) == {"model/weights é", "empty", "metrics.jsonl"}


def test_every_flipped_bit_is_found(folder: Path) -> None:
    rng = random.Random(1)
    files = [folder / "model" / "weights é", folder / "metrics.jsonl", folder / SEAL]
    for path in rng.choices(files, k=200):
        data = path.read_bytes()
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert fault(folder), path
        path.write_bytes(data)
    assert fault(folder) == ""


def test_what_is_missing_is_named_and_what_came_later_is_no_fault(folder: Path) -> None:
    (folder / "note").write_text("mine")
    assert fault(folder) == ""
    (folder / "empty").unlink()
    assert fault(folder) == "empty"


def test_a_part_is_checked_with_the_whole_and_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model" / "weights é").write_bytes(b"other")
    with pytest.raises(Damaged, match=r"artifact is damaged: model/weights é is not what it was"):
        check(folder / "model")
    seal(folder)
    check(folder / "model")
    monkeypatch.setattr("percasym.seals.fault", lambda folder: pytest.fail("it is read again"))
    check(folder)


def test_what_was_never_sealed_cannot_be_judged(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert fault(tmp_path) == ""
    check(tmp_path)
