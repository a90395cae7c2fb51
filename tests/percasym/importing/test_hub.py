"""Data sets of the Hub, by its own client from a server that stands in for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures.hub import serve
from fixtures.released import GRAPH, SUDOKU, answered, picture, released, write_released

from percasym.datasets import iter_split

ROWS = [released(truth, answered(truth)) for truth in (GRAPH, SUDOKU)]
# The client learns the Hub's address when it is imported, so each import is a process of its own.
PROGRAM = """
import json, sys
from percasym.errors import PercasymError
from percasym.importing import import_dataset
for name in sys.argv[2:]:
    try:
        report = import_dataset(f"owner/{name}", f"{sys.argv[1]}/{name}")
        print(json.dumps({split: [found.rows, found.right] for split, found in report.splits.items()}))
    except PercasymError as error:
        print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    write_released(root / "owner" / "gc", test=ROWS[:1], train_sft=ROWS)
    broken = write_released(root / "owner" / "broken", test=ROWS)
    shard = broken / "data" / "test-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-50])
    (root / "owner" / "text").mkdir()
    (root / "owner" / "text" / "train.csv").write_text("query,image\na,b\n")
    (root / "owner" / "lines").mkdir()
    lines = [{**row, "image": "g.png", "ground_truth": json.loads(row["ground_truth"])} for row in ROWS[:1]]
    (root / "owner" / "lines" / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "owner" / "lines" / "g.png").write_bytes(picture(GRAPH))
    return root


@pytest.fixture(scope="module")
def out(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def imported(hub: Path, out: Path) -> dict[str, Any]:
    """What came of each data set: its report in brief, or the message."""
    names = ["gc", "broken", "text", "lines", "nowhere"]
    with serve(hub) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(out / "home")}
        environment.pop("HF_HUB_OFFLINE", None)
        command = [sys.executable, "-c", PROGRAM, str(out), *names]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return dict(zip(names, map(json.loads, output.splitlines()), strict=True))


def test_a_data_set_of_the_hub_is_taken(imported: dict[str, Any], out: Path) -> None:
    assert imported["gc"] == {"test": [1, 1], "train_sft": [2, 2]}
    for row, given in zip(iter_split(out / "gc", "train_sft"), ROWS, strict=True):
        assert row["image"] == given["image"]["bytes"]
        assert {name: row[name] for name in ("query", "ground_truth", "response")} == {
            name: given[name] for name in ("query", "ground_truth", "response")
        }


def test_what_cannot_be_read_is_one_line(imported: dict[str, Any], out: Path) -> None:
    messages = {name: found for name, found in imported.items() if name != "gc"}
    assert messages["broken"].startswith("cannot read owner/broken from the Hub: ")
    assert messages["text"] == "owner/text is of format csv: only parquet and json are read"
    assert messages["lines"].endswith("no row that can be taken: its image 'g.png' is not there")
    assert messages["nowhere"].startswith("cannot read owner/nowhere from the Hub: ")
    assert not any("\n" in message for message in messages.values())
    assert sorted(path.name for path in out.iterdir()) == ["gc", "home"]
