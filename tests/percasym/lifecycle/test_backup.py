"""A backup of a home in which others write, and what comes out of it again."""

import hashlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fixtures.place import record_text

from percasym.errors import PercasymError
from percasym.home import Home
from percasym.lifecycle.backup import COMPRESSIONS, MANIFEST, Manifest, back_up
from percasym.lifecycle.collection import alone
from percasym.lifecycle.records import read_fields
from percasym.lifecycle.restoring import restore


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of files alone."""
    root = tmp_path / "old"
    artifact = root / "artifacts" / ("a" * 32) / "artifacts"
    (artifact / "empty").mkdir(parents=True)
    (artifact / "weights é").write_bytes(os.urandom(3_000_000))
    (root / "teachers" / "key").mkdir(parents=True)
    (root / "teachers" / "key" / "00000.jsonl").write_text('{"response": "4"}\n')
    (root / "results" / "sft").mkdir(parents=True)
    record = record_text(root, stage="sft", key="key", uri=str(artifact), run="a" * 32)
    (root / "results" / "sft" / "key").write_text(record)
    (root / "results" / "sft" / "half").write_text('{"metadata": {')
    (root / "artifacts" / ("b" * 32) / "artifacts.part").mkdir(parents=True)
    (root / "work" / "sft" / "key").mkdir(parents=True)
    (root / "locks").mkdir()
    (root / "prefect").mkdir()
    (root / "prefect" / "server.log").write_text("a log")
    with closing(sqlite3.connect(root / "prefect" / "prefect.db")) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        for side in ("a", "b"):
            database.execute(f"CREATE TABLE {side} (number INTEGER)")
    return Home(root)


def content(root: Path) -> dict[str, bytes | None]:
    """Files, and folders as None."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_what_counts_comes_back_and_nothing_else(home: Home, tmp_path: Path, suffix: str) -> None:
    file, seen = tmp_path / f"home{suffix}", []
    manifest = back_up(home, file, lambda done, total: seen.append((done, total)))
    assert manifest.counts == {"artifacts": 1, "prefect": 1, "results": 1, "teachers": 1}
    assert file.stat().st_mode & 0o077 == 0
    assert seen == sorted(seen)
    assert seen[-1][0] <= seen[-1][1]
    back = Home(tmp_path / "new")
    seen.clear()
    assert restore(file, back, lambda done, total: seen.append((done, total))) == manifest
    assert seen[-1][0] <= seen[-1][1] == file.stat().st_size
    assert sorted(path.name for path in back.root.iterdir()) == [
        *("artifacts", "prefect", "results", "teachers")
    ]
    assert [path.name for path in back.prefect.iterdir()] == ["prefect.db"]
    assert content(back.root / "teachers") == content(home.teachers)
    assert content(back.root / "artifacts" / ("a" * 32)) == content(home.root / "artifacts" / ("a" * 32))
    assert list((back.root / "artifacts" / ("b" * 32)).iterdir()) == []  # half copied
    record = json.loads((back.results / "sft" / "key").read_text())
    assert record["metadata"]["storage_key"] == f"{back.root}/results/sft/key"
    assert json.loads(record["result"])["data"]["uri"] == f"{back.root}/artifacts/{'a' * 32}/artifacts"
    assert [path.name for path in back.results.rglob("*")] == ["sft", "key"]
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_database_that_is_written_to_is_copied_as_it_was_at_one_moment(home: Home, tmp_path: Path) -> None:
    with writing(home.prefect / "prefect.db") as written:
        back_up(home, tmp_path / "home.tar")
        before = written()
        while written() == before:  # the writer goes on
            pass
    restore(tmp_path / "home.tar", Home(tmp_path / "new"))
    with closing(sqlite3.connect(tmp_path / "new" / "prefect" / "prefect.db")) as database:
        sides = [database.execute(f"SELECT count(*) FROM {side}").fetchone()[0] for side in ("a", "b")]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sides[0] == sides[1] > 0


@contextmanager
def writing(path: Path) -> Iterator[Callable[[], int]]:
    """A thread that adds one row to each of two tables, both or none, until the end."""
    end, begun, rows = threading.Event(), threading.Event(), [0]

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            while not end.is_set():
                with database:
                    database.execute("INSERT INTO a VALUES (?)", rows)
                    database.execute("INSERT INTO b VALUES (?)", rows)
                rows[0] += 1
                begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    try:
        yield lambda: rows[0]
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("damage", ["within", "its head", "emptied"])
def test_a_damaged_database_is_not_backed_up(home: Home, tmp_path: Path, damage: str) -> None:
    path = home.root / "mlflow.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.executemany("INSERT INTO runs VALUES (?)", [("x" * 1000,)] * 100)
    data = bytearray(path.read_bytes())
    if damage == "within":
        data[4096:12288] = b"\xff" * 8192
    elif damage == "its head":
        data[:4] = b"None"
    else:
        data.clear()
    path.write_bytes(data)
    with pytest.raises(PercasymError, match=r"mlflow\.db"):
        back_up(home, tmp_path / "home.tar")
    assert not list(tmp_path.glob("*home.tar*"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("there.tar", "is there already"),
        ("home.zip", "name a file that ends in .tar"),
        (".tar", "name a file that ends in .tar"),
        ("old/home.tar", "lies within the home folder"),
        ("old/artifacts/home.tar", "lies within the home folder"),
        ("nowhere/home.tar", "cannot write"),
    ],
)
def test_one_line_for_a_file_that_cannot_be(home: Home, tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "there.tar").write_text("precious")
    with pytest.raises(PercasymError, match=reason):
        back_up(home, tmp_path / name)
    assert (tmp_path / "there.tar").read_text() == "precious"


def test_a_second_backup_leaves_the_first_alone(home: Home, tmp_path: Path) -> None:
    with alone(home) as left:
        (tmp_path / ".first.tar.writing-1").mkdir()
        left.write_text(str(tmp_path / ".first.tar.writing-1"))
        with pytest.raises(PercasymError, match="at work"):
            back_up(home, tmp_path / "second.tar")
        assert (tmp_path / ".first.tar.writing-1").exists()


def test_what_a_killed_backup_has_left_goes_with_the_next_one(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if not (child := os.fork()):
        back_up(home, elsewhere / "home.tar", lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    (half,) = elsewhere.iterdir()
    assert list(half.iterdir())
    back_up(home, tmp_path / "home.tar")
    assert list(elsewhere.iterdir()) == []
    (home.locks / "lifecycle.left").write_text(str(home.root / "artifacts"))  # which no backup has written
    with alone(home):
        assert (home.root / "artifacts").exists()


RUNS_CODE = "os.system"


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["metadata"]["serializer"].update(type="pickle"),
        lambda record: record["metadata"]["serializer"].update(object_decoder=RUNS_CODE),
        lambda record: record["metadata"]["serializer"].update(jsonlib=RUNS_CODE),
        lambda record: record["metadata"].update(storage_block_id="0" * 8),
        lambda record: record.update(result=json.dumps({"__exc_type__": RUNS_CODE, "message": "true"})),
        lambda record: record.update(result=json.dumps({"__class__": RUNS_CODE, "data": "true"})),
        lambda record: record.update(result="gASVHAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"),
        lambda record: record.update(more=1),
    ],
)
def test_a_record_that_would_run_code_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    record = json.loads(record_text(Path("/old"), stage="sft", key="good"))
    assert read_fields(json.dumps(record))
    change(record)
    assert read_fields(json.dumps(record)) is None
    file = tmp_path / "bad.tar"
    write(file, [(member("results/sft/bad"), json.dumps(record).encode())])
    with pytest.raises(PercasymError, match=r"is refused: 'results/sft/bad' is no record of a stage"):
        restore(file, Home(tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_a_backup_goes_onto_an_empty_file_system(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "home.tar")
    mount = tmp_path / "mount"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(mount)]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("to mount a file system takes root")
    try:
        (mount / "lost+found").mkdir()
        restore(tmp_path / "home.tar", Home(mount))
        assert content(mount / "teachers") == content(home.teachers)
        assert [path.name for path in mount.iterdir() if path.name.startswith(".")] == []
        with pytest.raises(PercasymError, match="is there already"):
            restore(tmp_path / "home.tar", Home(mount))
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(PercasymError, match="nothing to back up"):
        back_up(Home(tmp_path / "none"), tmp_path / "home.tar")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("fault", ["cut off", "altered", "no archive", "empty"])
def test_a_damaged_backup_is_not_restored(home: Home, tmp_path: Path, suffix: str, fault: str) -> None:
    file = tmp_path / f"home{suffix}"
    back_up(home, file)
    data = bytearray(file.read_bytes())
    if fault == "cut off":
        data = data[: len(data) // 2]
    elif fault == "altered":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray(b"what is this?" * 1000 if fault == "no archive" else b"")
    file.write_bytes(data)
    with pytest.raises(PercasymError, match="no backup of ours, or is damaged"):
        restore(file, Home(tmp_path / "new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "old"]


def test_a_home_that_is_there_is_not_overwritten(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "home.tar")
    before = content(home.root)
    with pytest.raises(PercasymError, match="is there already"):
        restore(tmp_path / "home.tar", home)
    assert content(home.root) == before
    with pytest.raises(PercasymError, match="there is no file"):
        restore(tmp_path / "none.tar", Home(tmp_path / "new"))
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "home.tar", Home(tmp_path / "empty"))


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("results/../../outside"),
        member("/tmp/outside"),
        member("surprise.sh"),
        member("work/sft/run"),
        member("artifacts/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("artifacts/link", type=tarfile.LNKTYPE, linkname="results/good"),
        member("artifacts/device", type=tarfile.CHRTYPE),
        member("artifacts/pipe", type=tarfile.FIFOTYPE),
        member("teachers/good"),  # twice
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)
def test_what_no_backup_has_in_it_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    file = tmp_path / "bad.tar"
    write(file, [(member("teachers/good"), b"{}"), (bad, b"")])
    with pytest.raises(PercasymError, match="is refused"):
        restore(file, Home(tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_what_is_not_in_the_manifest_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "more.tar"
    write(file, [(member("teachers/good"), b"{}"), (member("teachers/more"), b"{}")])
    with pytest.raises(PercasymError, match="1 files are not what they were, such as teachers/more"):
        restore(file, Home(tmp_path / "new"))


def test_bombs_are_refused(tmp_path: Path) -> None:
    class Zeros(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    announced = tmp_path / "announced.tar"
    with announced.open("wb") as out:
        out.write(member("artifacts/large", size=1 << 60).tobuf())
    header = tmp_path / "header.tar.zst"
    with pa.CompressedOutputStream(str(header), "zstd") as stream:
        stream.write(member("x", type=tarfile.XHDTYPE, size=100 << 20).tobuf())
        for _ in range(100):
            stream.write(bytes(1 << 20))
    assert header.stat().st_size < 1 << 20
    for file, reason in ((announced, "larger than the free space"), (header, "header without end")):
        with pytest.raises(PercasymError, match=reason):
            restore(file, Home(tmp_path / "new"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["announced.tar", "header.tar.zst"]


def write(file: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    """An archive with a manifest that is right for teachers/good."""
    digests = {"teachers/good": hashlib.sha256(b"{}").hexdigest()}
    manifest = Manifest(
        made="2026-01-01T00:00:00Z", home="/old", artifacts="/old/artifacts", counts={}, files=digests
    )
    end = (member(MANIFEST), manifest.model_dump_json().encode())
    with tarfile.open(file, "w") as tar:
        for info, data in [*members, end]:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
