"""One bad row, whatever is wrong with it, is rejected by name, and all others are taken."""

import base64
import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from fixtures.released import FEATURES, GRAPH, SUDOKU, answered, listed, picture, released, write_released
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from percasym.datasets import iter_split
from percasym.errors import PercasymError
from percasym.images import encode_image
from percasym.importing import SplitReport, import_dataset, texts
from percasym.puzzles import load_puzzle

PUZZLE = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64})
INSTANCES = [PUZZLE.item("test", 0, index).instance for index in range(20)]
TRUTHS = [PUZZLE.ground_truth(instance) for instance in INSTANCES]
SOLVED = json.dumps([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]])


def rows() -> list[dict[str, Any]]:
    return [
        {"query": f"Solve {n}.", "image": "a.png", "ground_truth": truth} for n, truth in enumerate(TRUTHS)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "a.png").write_bytes(encode_image(Image.new("RGB", (64, 64))))
    (folder / "thin.png").write_bytes(encode_image(Image.new("RGB", (369, 1))))
    return folder


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["x" * 300, "x/" * 3000, "\0", "..", "/", "a.png/b", ".", "thin.png", "data:image/png;base64,", "%00"]
)
ODD = st.sampled_from(
    ["<|image_pad|>", "\ud800", "x" * (1 << 21), SOLVED, "[" * 5000, "9" * 5000, "NaN", "{}"]
)
CHANGES = (
    st.tuples(st.sampled_from(["query", "image", "ground_truth", "response", "images"]), VALUES | ODD | NAMES)
    | st.tuples(st.sampled_from(["query", "image", "ground_truth"]), st.just(...))  # the key is gone
    | st.tuples(st.just(None), VALUES)  # another value in place of the row
)


@given(
    number=st.integers(0, 19), change=CHANGES, kind=st.sampled_from([".jsonl", ".json", "array", ".jsonl.gz"])
)
@example(number=0, change=(None, {"\n": None}), kind=".jsonl")  # a name that would break the line
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_other_19_are_taken(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, number: int, change: tuple[Any, Any], kind: str
) -> None:
    written: list[Any] = rows()
    key, value = change
    if key is None:
        written[number] = value
    elif value is ...:
        del written[number][key]
    else:
        written[number][key] = value
    for path in folder.glob("test*"):
        path.unlink()
    lines = "\n".join(map(json.dumps, written)).encode()
    if kind == "array":
        (folder / "test.json").write_text(json.dumps(written))
    else:
        (folder / f"test{kind}").write_bytes(gzip.compress(lines) if kind.endswith(".gz") else lines)
    out = tmp_path_factory.mktemp("out")
    report = import_dataset(str(folder), out)
    taken = {row["id"].rpartition("-")[2] for row in iter_split(out, "test")}
    assert taken | {str(number)} == {str(index) for index in range(20)}
    if report.splits["test"].rejected:
        (line,) = listed(out / "rejected.jsonl")
        assert line["row"] == number
        assert len(line["reason"]) < 500
        assert "\n" not in line["reason"]


@given(number=st.integers(0, 19), junk=st.binary(min_size=1, max_size=40), place=st.integers(0, 200))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_bytes_that_are_overwritten_in_a_line_cost_that_line(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, number: int, junk: bytes, place: int
) -> None:
    lines = [json.dumps(row).encode() for row in rows()]
    junk = junk.replace(b"\n", b" ")
    lines[number] = lines[number][:place] + junk + lines[number][place + len(junk) :]
    for path in folder.glob("test*"):
        path.unlink()
    (folder / "test.jsonl").write_bytes(b"\n".join(lines))
    out = tmp_path_factory.mktemp("out")
    report = import_dataset(str(folder), out)
    assert report.splits["test"].rows >= 19


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "solved": ({"ground_truth": SOLVED}, "a grid without a blank, which is no puzzle but a solution"),
    "long name": ({"image": "x" * 304}, "cannot be read: File name too long"),
    "thin": ({"image": "thin.png"}, "its image is 369 x 1: too thin for models"),
    "no base64": ({"image": "data:image/png;base64,???"}, "is no base64"),
    "another URI": ({"image": "data:image/svg+xml,<svg/>"}, "is a data: URI without base64"),
    "bare base64": ({"image": base64.b64encode(b"x" * 400).decode()}, "cannot be read: File name too long"),
    "two images": ({"image": None, "images": ["a.png", "a.png"]}, "it has no image"),
    "Qwen's place": ({"query": "Look: <|image_pad|>"}, "it has <|image_pad|> in its query or response"),
    "InternVL's place": ({"response": "<IMG_CONTEXT>"}, "it has <IMG_CONTEXT> in its query or response"),
}


@pytest.mark.parametrize(("changes", "reason"), REJECTED.values(), ids=REJECTED)
def test_why_it_is_rejected(changes: dict[str, Any], reason: str, folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.png", "thin.png"):
        (source / name).write_bytes((folder / name).read_bytes())
    written = [{**rows()[0], **changes}, rows()[1]]
    (source / "test.jsonl").write_text("\n".join(map(json.dumps, written)))
    import_dataset(str(source), tmp_path / "out")
    (line,) = listed(tmp_path / "out" / "rejected.jsonl")
    assert (line["row"], reason in line["reason"]) == (0, True), line


def test_other_ways_to_write_a_row(folder: Path, tmp_path: Path) -> None:
    """`images` of one, a data: URI, a byte order mark before an array, and packed files."""
    image = (folder / "a.png").read_bytes()
    uri = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    first, second, third = rows()[:3]
    del first["image"]
    written = [{**first, "images": ["a.png"]}, {**second, "image": uri}, third]
    for name, content in {
        "array/test.json": b"\xef\xbb\xbf \n" + json.dumps(written).encode(),
        "lines/test.jsonl": b"\xef\xbb\xbf" + "\n".join(map(json.dumps, written)).encode(),
        "packed/test-00000-of-00001.jsonl.gz": gzip.compress("\n".join(map(json.dumps, written)).encode()),
        "packed array/test.json.gz": gzip.compress(json.dumps(written).encode()),
    }.items():
        source = (tmp_path / name).parent
        source.mkdir()
        (tmp_path / name).write_bytes(content)
        (source / "a.png").write_bytes(image)
        report = import_dataset(str(source), tmp_path / "out" / source.name)
        assert report.splits == {"test": SplitReport(rows=3)}
        assert report.columns == set()
        assert [row["image"] for row in iter_split(tmp_path / "out" / source.name, "test")] == [image] * 3


def test_a_row_comes_first_or_last(folder: Path, tmp_path: Path) -> None:
    good, bad = rows()[0], {"query": "no ground truth", "image": "a.png"}
    for name, written in {"first": [bad, good], "last": [good, bad]}.items():
        source = tmp_path / name
        source.mkdir()
        (source / "a.png").write_bytes((folder / "a.png").read_bytes())
        (source / "test.jsonl").write_text("\n".join(map(json.dumps, written)))
        report = import_dataset(str(source), tmp_path / "out" / name)
        assert report.splits == {"test": SplitReport(rows=1, rejected=1)}
        assert report.rejected[0]["row"] == written.index(bad)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_ANYWAY", 1 << 20)
    for name, content in (("lines", b"\n"), ("line", b"x"), ("blanks", b" ")):
        source = tmp_path / name
        source.mkdir()
        (source / "test.jsonl.gz").write_bytes(gzip.compress(content * (32 << 20)))
        with pytest.raises(PercasymError, match="unpacks to more than"):
            import_dataset(str(source), tmp_path / "out")


def test_a_packed_file_that_is_cut_off_is_one_line(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(map(json.dumps, rows())).encode())
    (tmp_path / "test.jsonl.gz").write_bytes(packed[:-20])
    with pytest.raises(PercasymError, match=r"cannot read .*test.jsonl.gz"):
        import_dataset(str(tmp_path), tmp_path / "out")


def test_texts_that_are_no_utf8_cost_their_row(tmp_path: Path) -> None:
    source = write_released(tmp_path / "source", test=[released(GRAPH), released(SUDOKU)])
    (path,) = source.rglob("*.parquet")
    path.unlink()
    table = pa.table(
        {
            "query": pa.array([b"fine", b"\xff\xfe"]).view(pa.string()),
            "image": pa.array([picture(GRAPH), picture(SUDOKU)]),
            "ground_truth": pa.array([GRAPH, SUDOKU]),
        }
    )
    pa.parquet.write_table(table, path)
    report = import_dataset(str(source), tmp_path / "out")
    assert report.splits == {"test": SplitReport(rows=1, rejected=1)}
    assert "cannot be decoded" in report.rejected[0]["reason"]


@pytest.mark.parametrize("several", [False, True])
def test_what_save_to_disk_wrote_is_the_same_data_set(several: bool, tmp_path: Path) -> None:
    written = [released(truth, answered(truth)) for truth in (GRAPH, SUDOKU)]
    saved = datasets.Dataset.from_list(written, features=FEATURES)
    split = "test" if several else "train"
    (datasets.DatasetDict({"test": saved}) if several else saved).save_to_disk(tmp_path / "saved")
    import_dataset(str(tmp_path / "saved"), tmp_path / "out")
    import_dataset(str(write_released(tmp_path / "files", **{split: written})), tmp_path / "expected")
    assert list(iter_split(tmp_path / "out", split)) == list(iter_split(tmp_path / "expected", split))


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung").absolute(),)


def test_nothing_that_save_to_disk_could_have_pickled_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trap = pickle.dumps(Trap())
    table = pa.Table.from_pylist([released(GRAPH)], schema=FEATURES.arrow_schema)
    names = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": trap,
    }
    fields = [field.with_metadata(names) if field.name == "query" else field for field in table.schema]
    saved = tmp_path / "saved"
    saved.mkdir()
    with pa.ipc.new_stream(str(saved / "data.arrow"), pa.schema(fields)) as stream:
        stream.write_table(table.cast(pa.schema(fields)))
    (saved / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (saved / "dataset_info.json").write_bytes(trap)
    import_dataset(str(saved), tmp_path / "out")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["../data.arrow", "/etc/passwd", None, 7])
def test_what_save_to_disk_names_lies_in_its_folder(name: Any, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(PercasymError, match=r"names what is elsewhere|does not name"):
        import_dataset(str(tmp_path), tmp_path / "out")


def test_equal_rows_of_a_split_are_counted_and_stay(tmp_path: Path) -> None:
    written = [
        released(GRAPH),
        released(SUDOKU),
        released(GRAPH),
        released(GRAPH, "another"),
        released(GRAPH),
    ]
    report = import_dataset(str(write_released(tmp_path / "source", test=written)), tmp_path / "out")
    assert (report.splits["test"].rows, report.splits["test"].equal) == (5, 2)
    lines = listed(tmp_path / "out" / "equal.jsonl")
    assert [(line["row"], line["other_row"]) for line in lines] == [(2, 0), (4, 0)]
    assert "| test | 5 | 0 | 2 |" in (tmp_path / "out" / "README.md").read_text()
