"""Folders as others keep them, and those that nobody can read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.released import GRAPH, SUDOKU, answered, listed, picture, released, write_released

from percasym import importing
from percasym.datasets import iter_split
from percasym.errors import PercasymError
from percasym.importing import SplitReport, import_dataset, sources, texts


def write_lines(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path.parent


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", ["test.jsonl", "test.json", "test/0000.jsonl"])
def test_json_and_image_files_are_the_same_data_set(name: str, nested: bool, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    rows = [released(truth, answered(truth)) for truth in (GRAPH, SUDOKU)]
    parquet = write_released(tmp_path / "parquet", test=rows)
    written = []
    for number, row in enumerate(rows):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{number}.png").write_bytes(row["image"]["bytes"])
        truth = json.loads(row["ground_truth"]) if nested else row["ground_truth"]
        written.append({**row, "image": f"images/{number}.png", "ground_truth": truth})
    if name == "test.json":
        (folder / name).write_text("\n " + json.dumps(written, indent=1))
    else:
        write_lines(folder / name, *written)
    (folder / "dataset_info.json").write_text("{}")
    import_dataset(str(parquet), tmp_path / "expected")
    import_dataset(str(folder), tmp_path / "out")
    assert list(iter_split(tmp_path / "out", "test")) == list(iter_split(tmp_path / "expected", "test"))


def test_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "g.png").write_bytes(picture(GRAPH))
    write_lines(tmp_path / "source" / "test.jsonl", {**released(GRAPH), "image": "g.png", "level": 3})
    assert import_dataset(str(tmp_path / "source"), tmp_path / "out").columns == {"level"}


def test_a_bad_line_of_json_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST_LINE", 5_000)
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "g.png").write_bytes(picture(GRAPH))
    good = {**released(GRAPH), "image": "g.png"}
    (tmp_path / "secret.png").write_bytes(picture(GRAPH))
    lines = [
        json.dumps(good),
        "{",
        "[]",
        json.dumps({**good, "query": "x" * 20_000}),
        "",
        json.dumps({**good, "image": "../secret.png"}),
        json.dumps({**good, "image": str(tmp_path / "secret.png")}),
        json.dumps({**good, "image": "g\0.png"}),
        json.dumps({**good, "image": ["g.png"]}),
        json.dumps({**good, "query": "\ud800"}),
        json.dumps({"query": "only"}),
        '{"query": ' + "[" * 4_000,
        json.dumps(good),
    ]
    (folder / "test.jsonl").write_text("\n".join(lines))
    report = import_dataset(str(folder), tmp_path / "out")
    reasons = {line["row"]: line["reason"] for line in listed(tmp_path / "out" / "rejected.jsonl")}
    assert report.splits["test"] == SplitReport(rows=2, rejected=len(reasons), equal=1)
    assert [row["id"][-2:] for row in iter_split(tmp_path / "out", "test")] == ["-0", "11"]
    expected = {
        1: "no JSON",
        2: "no JSON object",
        3: "longer than 5,000 bytes",
        4: "no path within",
        5: "no path within",
        6: "is not there",
        7: "has no image",
        8: "lone surrogate",
        9: "it has the columns query, but query, image, ground_truth are needed",
        10: "no JSON",
    }
    assert reasons.keys() == expected.keys()
    for row, words in expected.items():
        assert words in reasons[row], reasons[row]
    assert len(report.rejected) == importing.SHOWN


def mistake_in_a_folder(make: Callable[[Path], Any]) -> Callable[[Path], str]:
    def source(folder: Path) -> str:
        folder.mkdir()
        make(folder)
        return str(folder)

    return source


MISTAKES: dict[str, tuple[Callable[[Path], str], str]] = {
    "nowhere": (lambda folder: str(folder / "no" / "where"), "there is no folder"),
    "a file": (mistake_in_a_folder(lambda folder: None), "has no parquet, JSON or JSONL files"),
    "other columns": (
        mistake_in_a_folder(lambda folder: write_lines(folder / "test.jsonl", {"text": "x"})),
        "has the columns text, but query, image, ground_truth are needed",
    ),
    "LLaMA-Factory": (
        mistake_in_a_folder(lambda folder: write_lines(folder / "t.jsonl", {"messages": [], "images": []})),
        "LLaMA-Factory's layout, which has no ground truth",
    ),
    "no rows": (
        mistake_in_a_folder(lambda folder: (folder / "test.jsonl").touch()),
        "no row that can be taken",
    ),
    "empty parquet": (
        mistake_in_a_folder(lambda folder: write_released(folder / "x", test=[])),
        "no row that can be taken: it is empty",
    ),
    "nothing good": (
        mistake_in_a_folder(
            lambda folder: write_released(folder / "x", test=[{**released(GRAPH), "image": None}] * 2)
        ),
        "no row that can be taken: it has no image",
    ),
    "broken parquet": (
        mistake_in_a_folder(lambda folder: (folder / "test.parquet").write_bytes(b"PAR1" * 100)),
        "cannot read",
    ),
    "broken array": (
        mistake_in_a_folder(lambda folder: (folder / "test.json").write_text("[{]")),
        "test.json is no JSON",
    ),
    "name of a split": (
        mistake_in_a_folder(lambda folder: write_lines(folder / "my test.jsonl", {"query": 1})),
        "a split cannot be called 'my test'",
    ),
}


@pytest.mark.parametrize(("make", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    make: Callable[[Path], str], message: str, tmp_path: Path
) -> None:
    source = make(tmp_path / "source")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PercasymError) as caught:
        import_dataset(source, tmp_path / "out")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Nor one to a folder, nor an image; links within it are followed."""
    folder, secrets = tmp_path / "source", tmp_path / "secrets"
    for made in (folder / "images", secrets):
        made.mkdir(parents=True)
    for place in (secrets / "g.png", folder / "images" / "real.png"):
        place.write_bytes(picture(GRAPH))
    (folder / "images" / "within.png").symlink_to(folder / "images" / "real.png")
    (folder / "images" / "out.png").symlink_to(secrets / "g.png")
    (folder / "images" / "over").symlink_to(secrets)
    names = ["images/within.png", "images/out.png", "images/over/g.png"]
    write_lines(folder / "test.jsonl", *({**released(GRAPH), "image": name} for name in names))
    report = import_dataset(str(folder), tmp_path / "out")
    assert report.splits["test"].rows == 1
    reasons = [line["reason"] for line in listed(tmp_path / "out" / "rejected.jsonl")]
    assert reasons == [f"its image {name!r} is a link out of the folder" for name in names[1:]]
    (tmp_path / "through").symlink_to(folder)
    assert import_dataset(str(tmp_path / "through"), tmp_path / "again").splits["test"].rows == 1


@pytest.mark.parametrize("kind", ["test.jsonl", "test.parquet", "saved"])
def test_rows_that_are_elsewhere_are_refused(kind: str, tmp_path: Path) -> None:
    folder, secrets = tmp_path / "source", tmp_path / "secrets"
    folder.mkdir()
    secrets.mkdir()
    if kind == "saved":
        datasets.Dataset.from_list([released(GRAPH)]).save_to_disk(secrets / "test")
        (folder / "test").symlink_to(secrets / "test")
        (folder / "dataset_dict.json").write_text('{"splits": ["test"]}')
    elif kind == "test.parquet":
        found = write_released(secrets, test=[released(GRAPH)])
        (folder / kind).symlink_to(next(found.rglob("*.parquet")))
    else:
        write_lines(secrets / kind, {**released(GRAPH), "image": "g.png"})
        (folder / kind).symlink_to(secrets / kind)
    with pytest.raises(PercasymError, match="is a link out of the folder: copy there") as error:
        import_dataset(str(folder), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_large_array_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LARGEST_ARRAY", 10)
    (tmp_path / "test.json").write_text("[" + " " * 20 + "]")
    with pytest.raises(PercasymError, match="one JSON array of more than 10 bytes: write JSONL"):
        import_dataset(str(tmp_path), tmp_path / "out")


def test_a_large_group_of_parquet_is_read_in_parts(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    schema = pa.schema([("query", pa.string()), ("image", pa.binary()), ("ground_truth", pa.string())])
    rows = [{"query": "?", "image": noise.bytes(25_000), "ground_truth": GRAPH} for _ in range(4_000)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "test.parquet", use_dictionary=False)
    assert (tmp_path / "test.parquet").stat().st_size > 90_000_000
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    held = [pool.bytes_allocated() - before for _ in sources.open_source(str(tmp_path))["test"]]
    assert len(held) == 4_000
    assert max(held) < 60_000_000
