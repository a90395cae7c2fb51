"""A home folder out of a backup."""

import hashlib
import shutil
import sqlite3
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from percasym.errors import PercasymError
from percasym.folders import new_folder
from percasym.home import Home
from percasym.lifecycle.backup import BUFFER, FORMAT, MANIFEST, Manifest, Progress, compression
from percasym.lifecycle.moving import move_database, move_records
from percasym.lifecycle.records import read_fields

RECORDS = "results"
FOLDERS = (RECORDS, "artifacts", "teachers", "prefect")  # of a backup; besides, it has databases
MANY = 20_000_000  # files, at most
LONG = 1 << 30  # bytes of a manifest, at most
LONGEST_RECORD = 1 << 20  # bytes
HEADERS = 16 << 20  # bytes between two files, at most
RESERVE = 64 << 20  # bytes that are left on the disk


class Unsafe(Exception):
    """Something that no backup of ours has in it."""


def restore(source: Path, home: Home, progress: Progress = lambda done, total: None) -> Manifest:
    """Makes `home` out of the backup `source`: it is there when it is whole, or not at all.

    Where its path is not that of the home that was backed up, all that names places in it is changed:
    in MLflow's database and in the result records, and nowhere else.

    Raises:
        PercasymError: `source` is no backup, incomplete, damaged, or has something in it that no backup has;
            `home` is there and not empty; the disk is too small.
    """
    kind = compression(source)
    if not source.is_file():
        raise PercasymError(f"there is no file {source}")
    with new_folder(home.root) as aside:
        try:
            manifest = _extract(source, kind, aside, progress)
            _move(manifest, aside, home)
        except Unsafe as error:
            raise PercasymError(f"{source} is refused: {error}") from error
        except (tarfile.TarError, sqlite3.Error, EOFError, ValueError) as error:
            line = str(error).partition("\n")[0]
            raise PercasymError(f"{source} is no backup of ours, or is damaged: {line}") from error
    return manifest


def _move(manifest: Manifest, folder: Path, home: Home) -> None:
    places = {Path(manifest.artifacts): home.root / "artifacts", Path(manifest.home): home.root}
    if any(old != new for old, new in places.items()):
        if (database := folder / home.database.name).exists():
            move_database(database, places)
        move_records(folder / home.results.name, places)


def _extract(source: Path, kind: str | None, target: Path, progress: Progress) -> Manifest:
    room = shutil.disk_usage(target).free - RESERVE
    size, digests, manifest = source.stat().st_size, dict[str, str](), None
    with source.open("rb") as file:
        meter = _Meter(pa.CompressedInputStream(file, kind) if kind else file)
        with tarfile.open(fileobj=meter, mode="r|", bufsize=BUFFER) as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar):
                if manifest or count > MANY:
                    raise Unsafe("it goes on after its end" if manifest else "it has too many files")
                path = _checked(member, target)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                room -= member.size
                if room < 0:
                    raise Unsafe(f"it is larger than the free space of {target.parent}")
                meter.allow(member.size)
                content = tar.extractfile(member)
                assert content is not None
                if member.name == MANIFEST:
                    if member.size > LONG:
                        raise Unsafe("its manifest is too long")
                    manifest = Manifest.model_validate_json(content.read())
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    raise Unsafe(f"it has {member.name} twice")
                with path.open("xb") as out:
                    digests[member.name] = _copy(content, out)
                if path.is_relative_to(target / RECORDS) and not (
                    member.size < LONGEST_RECORD and read_fields(path.read_bytes())
                ):
                    raise Unsafe(f"{member.name!r} is no record of a stage, but what Prefect would run")
                meter.allow(0)
                progress(file.tell(), size)
    if manifest is None:
        raise tarfile.ReadError("it has no end")
    if manifest.format != FORMAT:
        raise Unsafe(
            f"it is of format {manifest.format}, made by percasym {manifest.percasym}; {FORMAT} is read"
        )
    if wrong := sorted({name for name, _ in manifest.files.items() ^ digests.items()}):
        raise tarfile.ReadError(f"{len(wrong)} files are not what they were, such as {wrong[0]}")
    return manifest


def _checked(member: tarfile.TarInfo, target: Path) -> Path:
    """Where to write a member of the archive; whatever could be written elsewhere is refused."""
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts or not parts:
        raise Unsafe(f"it has a file outside of the home, {member.name!r}")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise Unsafe(f"{member.name!r} is a link, a device or something else that is no plain file")
    database = len(parts) == 1 and member.name.endswith(".db")
    if not (parts[0] in FOLDERS or database or member.name == MANIFEST):
        raise Unsafe(f"no home has a file {member.name!r}")
    try:
        tarfile.data_filter(member, str(target))
    except tarfile.FilterError as error:
        raise Unsafe(str(error)) from error
    return target.joinpath(*parts)


def _copy(source: Any, target: Any) -> str:
    digest = hashlib.sha256()
    while data := source.read(BUFFER):
        digest.update(data)
        target.write(data)
    return digest.hexdigest()


class _Meter:
    """A stream of which no more may be read than what was announced and a little: headers can be bombs."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.allow(0)

    def allow(self, size: int) -> None:
        self.left = size + HEADERS

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self.stream.read(size)
        except OSError as error:  # not of the disk that is written to
            raise tarfile.ReadError(str(error)) from error
        self.left -= len(data)
        if self.left < 0:
            raise Unsafe("it has a header without end")
        return data
