"""Read back by LLaMA-Factory's own loader, in an environment of its own: see `make test-llamafactory`."""

import json
from pathlib import Path

from percasym.datasets import iter_split, write_dataset
from percasym.exporting import export_dataset

PLACE = "<image>, <video>, <audio> in its text"


def test_it_has_the_layout_of_the_released_one(taught: Path, tmp_path: Path) -> None:
    found = {found.split: found for found in export_dataset(taught, "llamafactory", tmp_path / "out")}
    out = tmp_path / "out"
    assert {split: (count.rows, dict(count.left_out)) for split, count in found.items()} == {
        "test": (0, {"no response": 4}),
        "train_rl": (0, {"no response": 3}),
        "train_sft": (5, {"no response": 1, "a prefix, which would be trained too": 1, PLACE: 1}),
    }
    info = json.loads((out / "dataset_info.json").read_text())
    assert set(info) == {"train_sft"}
    assert info["train_sft"]["file_name"] == "train_sft.json"
    assert info["train_sft"]["formatting"] == "sharegpt"
    assert sorted(path.name for path in out.iterdir()) == ["dataset_info.json", "images", "train_sft.json"]
    conversations = json.loads((out / "train_sft.json").read_text(encoding="utf-8"))
    ours = [
        row for row in iter_split(taught, "train_sft") if row["id"] not in ("no-response", "prefix", "place")
    ]
    for number, (conversation, row) in enumerate(zip(conversations, ours, strict=True)):
        place = "" if row["image"] is None else "<image>"
        assert conversation["messages"] == [
            {"role": "user", "content": place + row["query"]},
            {"role": "assistant", "content": row["response"]},
        ]
        assert conversation["ground_truth"] == row["ground_truth"]
        if row["image"] is None:
            assert conversation["images"] == []
        else:
            assert conversation["images"] == [f"images/train_sft/{number:06}.png"]
            assert (out / conversation["images"][0]).read_bytes() == row["image"]


def test_an_image_keeps_its_format(taught: Path, tmp_path: Path) -> None:
    import io

    from PIL import Image

    (row, *_) = iter_split(taught, "train_sft")
    rows = []
    for kind in ("JPEG", "WEBP"):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(row["image"])).save(buffer, kind)
        rows.append({**row, "image": buffer.getvalue()})
    write_dataset(tmp_path / "data", {"train_sft": rows})
    export_dataset(tmp_path / "data", "llamafactory", tmp_path / "out")
    images = sorted((tmp_path / "out" / "images" / "train_sft").iterdir())
    assert [path.name for path in images] == ["000000.jpg", "000001.webp"]
    assert [path.read_bytes() for path in images] == [row["image"] for row in rows]
