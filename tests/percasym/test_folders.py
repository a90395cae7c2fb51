"""Files and folders appear whole, and belong to one run."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from percasym.errors import PercasymError
from percasym.folders import claim, link, remove


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("content")
    return source


def test_a_link_is_the_same_file_and_its_source_stays(source: Path, tmp_path: Path) -> None:
    link(source, tmp_path / "folder")
    link(source / "deep" / "file", tmp_path / "file")
    for path in (tmp_path / "folder" / "deep" / "file", tmp_path / "file"):
        assert path.samefile(source / "deep" / "file")
    remove(source)
    assert (tmp_path / "folder" / "deep" / "file").read_text() == "content"


def test_where_there_are_no_links_it_is_a_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(code: int) -> Any:
        def refused(*arguments: Any, **options: Any) -> None:
            raise OSError(code, os.strerror(code))

        return refused

    monkeypatch.setattr(os, "link", refuse(errno.EOPNOTSUPP))
    link(source, tmp_path / "copy")
    assert (tmp_path / "copy" / "deep" / "file").read_text() == "content"
    assert not (tmp_path / "copy" / "deep" / "file").samefile(source / "deep" / "file")
    monkeypatch.setattr(os, "link", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        link(source, tmp_path / "full")


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    claim(folder, "training", {"seed": 1, "steps": 2})
    claim(folder, "training", {"steps": 2, "seed": 1})
    with pytest.raises(PercasymError, match=r"holds another training, with another more, seed: delete it"):
        claim(folder, "training", {"seed": 2, "steps": 2, "more": 1})
    (folder / "training.json").write_text("")
    with pytest.raises(PercasymError, match=r"training\.json is damaged"):
        claim(folder, "training", {"seed": 1, "steps": 2})


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PercasymError, match="cannot write"):
        claim(tmp_path / "file" / "out", "training", {})


def test_nothing_is_removed_through_a_link(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    remove(tmp_path / "link")
    remove(tmp_path / "link")
    assert (source / "deep" / "file").exists()
