"""A teacher's captions: one for each item, in the order of the split, and nothing beyond them."""

import json
from pathlib import Path

import pytest

from percasym import child, launch
from percasym.captioning import CaptioningConfig, captions, read_captions, run
from percasym.datasets import read_split
from percasym.engines import Completion
from percasym.errors import PercasymError


class Scripted:
    """Writes a caption but for the last request, and records how it was asked."""

    def generate(self, requests, sampling):
        self.sampling = sampling
        asked = list(requests)
        for number, request in reversed(list(enumerate(asked))):
            text = f"<caption> a1 {number} </caption>" if number < len(asked) - 1 else "<caption> a1"
            yield Completion(request.id, text, 3, "stop")


def test_each_item_is_captioned_once_and_greedily(dataset: Path) -> None:
    rows = read_split(dataset, "train_rl")
    engine = Scripted()
    found = dict(captions(engine, rows, 40))
    assert found == {id_: f"a1 {number}" if number < 7 else "" for number, id_ in enumerate(rows["id"])}
    assert (engine.sampling.temperature, engine.sampling.max_tokens) == (0, 40)
    assert engine.sampling.stop == "</caption>"


def test_a_child_writes_the_captions_and_says_how_far_it_is(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    config = CaptioningConfig(
        model=str(checkpoint),
        dataset=str(dataset),
        out=tmp_path / "new" / "captions.jsonl",
        max_new_tokens=4,
        batch_size=3,
    )
    records = list(launch.run("percasym.captioning", config, tmp_path))
    assert [record["done"] for record in records] == [3, 6, 8]
    assert list(read_captions(config.out)) == read_split(dataset, "train_rl")["id"]


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert child.main([], "percasym.captioning", CaptioningConfig, run) == 2
    (tmp_path / "config.json").write_text(json.dumps({"model": "x"}))
    assert child.main([str(tmp_path / "config.json")], "percasym.captioning", CaptioningConfig, run) == 2
    assert child.main([str(tmp_path / "none.json")], "percasym.captioning", CaptioningConfig, run) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "usage" in errors[0]
    assert "dataset" in errors[1]
    assert "none.json" in errors[2]


@pytest.mark.parametrize("text", ["so", "[]", '{"id": "x"}', '{"id": "x", "caption": null}'])
def test_what_is_no_file_of_captions_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"id": "a", "caption": ""}\n' + text)
    with pytest.raises(PercasymError, match="line 2"):
        read_captions(path)
    with pytest.raises(PercasymError, match="cannot read"):
        read_captions(tmp_path / "nowhere.jsonl")
