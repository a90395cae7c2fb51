"""Read back by LLaMA-Factory's own loader and trainer, see `make test-consumers`."""

import io
import json
from pathlib import Path

import pytest
from fixtures.consumers import ROOT, run_beside
from PIL import Image

from percasym.datasets import iter_split, write_dataset
from percasym.exporting import export_dataset

READ = """
import json
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
arguments = get_train_args()
loaded = load_tokenizer(arguments[0])
template = get_template_and_fix_tokenizer(loaded["tokenizer"], arguments[1])
rows = get_dataset(template, *arguments[:3], stage="sft", **loaded)["train_dataset"]
for row in rows:
    trained = [token for token in row["labels"] if token != -100]
    print(json.dumps({"text": loaded["tokenizer"].decode(trained), "images": row["images"]}))
"""
LEFT_OUT = ("no-response", "prefix", "place")
PLACE = "<image>, <video>, <audio>, or what models take for an image, in its text"


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
    ours = [row for row in iter_split(taught, "train_sft") if row["id"] not in LEFT_OUT]
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


def settings(data: Path, checkpoint: Path, tmp_path: Path) -> list[str]:
    places = {"dataset_dir": data, "model_name_or_path": checkpoint, "output_dir": tmp_path / "model"}
    example = str(ROOT / "docs" / "examples" / "llamafactory.yaml")
    return [example, *(f"{name}={path}" for name, path in places.items()), "max_steps=1", "use_cpu=true"]


@pytest.mark.llamafactory
@pytest.mark.timeout(900)
def test_the_loader_of_llamafactory_reads_it(taught: Path, checkpoint: Path, tmp_path: Path) -> None:
    export_dataset(taught, "llamafactory", tmp_path / "out")
    (tmp_path / "read.py").write_text(READ)
    arguments = settings(tmp_path / "out", checkpoint, tmp_path)
    printed = run_beside("llamafactory", tmp_path / "home", tmp_path / "read.py", *arguments)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith('{"text"')]
    ours = [row for row in iter_split(taught, "train_sft") if row["id"] not in LEFT_OUT]
    for line, own in zip(lines, ours, strict=True):
        assert line["text"].split() == [*own["response"].split(), "<|im_end|>"]
        assert [Path(path).read_bytes() for path in line["images"] or []] == [own["image"]] * bool(
            own["image"]
        )


@pytest.mark.llamafactory
@pytest.mark.timeout(900)
def test_llamafactory_trains_on_it(taught: Path, checkpoint: Path, tmp_path: Path) -> None:
    export_dataset(taught, "llamafactory", tmp_path / "out")
    arguments = settings(tmp_path / "out", checkpoint, tmp_path)
    printed = run_beside("llamafactory", tmp_path / "home", "-m", "llamafactory.cli", "train", *arguments)
    assert "train_loss" in printed
    assert (tmp_path / "model" / "model.safetensors").exists()
