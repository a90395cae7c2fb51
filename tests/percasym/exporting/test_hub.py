"""Read back by `datasets.load_dataset`."""

import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest

from percasym.datasets import FEATURES, content_digest, iter_split, split_names
from percasym.errors import PercasymError
from percasym.exporting import export_dataset


def encoded(rows: datasets.Dataset) -> list[dict[str, Any]]:
    """The rows with their images as bytes."""
    plain = [dict(row) for row in rows.cast_column("image", datasets.Image(decode=False))]
    return [{**row, "image": row["image"] and row["image"]["bytes"]} for row in plain]


def test_all_columns_or_the_released_ones_are_read_back(taught: Path, tmp_path: Path) -> None:
    export_dataset(taught, "hub", tmp_path / "out")
    cache = str(tmp_path / "cache")
    ours = datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)
    released = datasets.load_dataset(str(tmp_path / "out"), "released", cache_dir=cache)
    assert sorted(ours) == sorted(released) == split_names(taught)
    for split in ours:
        rows = list(iter_split(taught, split))
        assert ours[split].features == FEATURES
        assert encoded(ours[split]) == rows
        columns = ["query", "image", "ground_truth", "response"]
        assert released[split].column_names == columns
        assert encoded(released[split]) == [{column: row[column] for column in columns} for row in rows]
    streamed = datasets.load_dataset(str(tmp_path / "out"), "released", split="test", streaming=True)
    assert next(iter(streamed))["image"].size == (450, 450)
    assert content_digest(tmp_path / "out") == content_digest(taught)


def test_the_card_is_that_of_the_data_set(taught: Path, tmp_path: Path) -> None:
    export_dataset(taught, "hub", tmp_path / "all")
    card = (taught / "README.md").read_text()
    body = card.partition("\n---\n")[2]
    assert (tmp_path / "all" / "README.md").read_text().partition("\n---\n")[2].strip() == body.strip()
    export_dataset(taught, "hub", tmp_path / "one", ["test"])
    written = (tmp_path / "one" / "README.md").read_text()
    assert body.strip() in written
    assert "This copy has of these splits: test." in written
    assert "train_sft-*" not in written
    assert set(datasets.load_dataset(str(tmp_path / "one"), cache_dir=str(tmp_path / "cache"))) == {"test"}


def test_a_data_set_without_its_card_gets_one(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "data").symlink_to(taught / "data")
    export_dataset(tmp_path / "bare", "hub", tmp_path / "out")
    assert "config_name: released" in (tmp_path / "out" / "README.md").read_text()
    (tmp_path / "bare" / "README.md").write_text("---\n- a\n---\n")
    with pytest.raises(PercasymError, match=r"the header of .*README.md cannot be read") as caught:
        export_dataset(tmp_path / "bare", "hub", tmp_path / "again")
    assert "\n" not in str(caught.value)


def test_a_card_that_is_elsewhere_is_not_copied(taught: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("-----BEGIN KEY-----")
    shutil.copytree(taught, tmp_path / "data")
    (tmp_path / "data" / "README.md").unlink()
    (tmp_path / "data" / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(PercasymError, match=r"README.md is a link out of the folder"):
        export_dataset(tmp_path / "data", "hub", tmp_path / "out")
    assert not (tmp_path / "out").exists()
