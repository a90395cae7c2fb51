"""What all exports have in common: whole or not at all, and one line for a mistake."""

import errno
import io
import os
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image, ImageOps

from percasym.datasets import iter_split, write_dataset
from percasym.errors import PercasymError
from percasym.exporting import CONSUMERS, export_dataset, llamafactory
from percasym.folders import new_folder
from percasym.images import open_image


@pytest.mark.parametrize("to", CONSUMERS)
def test_every_row_is_written_or_counted(to: str, taught: Path, tmp_path: Path) -> None:
    split = "train_rl" if to == "verl" else "train_sft"
    (found,) = export_dataset(taught, to, tmp_path / "out", [split, split])
    assert found.split == split
    assert found.rows + found.left_out.total() == len(list(iter_split(taught, split)))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("data", "to", "splits", "message"),
    [
        ("taught", "axolotl", [], "no export to 'axolotl'; choose from hub, llamafactory, trl, verl"),
        ("nowhere", "hub", [], "nowhere is no data set: make one with"),
        ("taught", "hub", ["tset"], "has no split 'tset': it has test, train_rl, train_sft"),
        ("taught", "llamafactory", ["train_rl", "test"], "llamafactory can take no row of .*: no response"),
        ("taught", "verl", ["train_rl", "train_sft"], "no-image is not for verl"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    data: str, to: str, splits: list[str], message: str, taught: Path, tmp_path: Path
) -> None:
    folder = taught if data == "taught" else tmp_path / data
    with pytest.raises(PercasymError, match=message) as caught:
        export_dataset(folder, to, tmp_path / "out", splits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", CONSUMERS)
def test_what_is_there_is_not_overwritten(to: str, taught: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(PercasymError, match="out is there already: name a new folder"):
        export_dataset(taught, to, tmp_path / "out", ["train_rl"])
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_a_full_disk_is_one_line_and_leaves_nothing(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(llamafactory, "_write_image", full)
    with pytest.raises(PercasymError, match=r"cannot write .*out: No space left on device$"):
        export_dataset(taught, "llamafactory", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_process_go_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    dead = tmp_path / ".out.writing-999999999"
    living = tmp_path / f".out.writing-{os.getppid()}"
    other = tmp_path / ".out.writing-mine"
    for path in (dead, living, other):
        path.mkdir()
        (path / "part").touch()
    with new_folder(tmp_path / "out") as folder:
        (folder / "whole").touch()
        assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, other.name, "out"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]


def test_a_new_folder_may_lie_in_a_new_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b") as folder:
        (folder / "whole").touch()
    assert (tmp_path / "a" / "b" / "whole").exists()


def odd_pictures() -> list[bytes]:
    """Pictures that programs see differently: turned by EXIF, transparent, and of 16 bits."""
    stroke = Image.new("L", (64, 48), 230)
    stroke.paste(20, (0, 0, 20, 10))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    ink = Image.merge("LA", [Image.new("L", stroke.size, 0), ImageOps.invert(stroke)])
    deep = Image.fromarray(np.asarray(stroke).astype(np.uint16) * 257)
    written = []
    for image, options in ((stroke, {"exif": exif}), (ink, {}), (deep, {})):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **options)
        written.append(buffer.getvalue())
    return written


def exported_pictures(folder: Path) -> list[bytes]:
    """All images of an export, in whatever file and column."""
    written = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]
    for path in folder.rglob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            written += [image["bytes"] for image in row.get("images") or [row["image"]]]
    return written


@pytest.mark.parametrize("to", CONSUMERS)
def test_who_reads_an_export_sees_what_we_see(to: str, taught: Path, tmp_path: Path) -> None:
    (row, *_) = iter_split(taught, "train_sft")
    odd = odd_pictures()
    write_dataset(tmp_path / "data", {"train_sft": [{**row, "image": image} for image in odd]})
    export_dataset(tmp_path / "data", to, tmp_path / "out")
    seen = [
        datasets.Image().decode_example({"bytes": image, "path": None}).convert("RGB").tobytes()
        for image in exported_pictures(tmp_path / "out")
    ]
    assert seen == [open_image(image).tobytes() for image in odd]
    assert len(set(seen)) == 2  # the last two are the same picture
