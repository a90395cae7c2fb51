"""A home folder as one file, taken while flows and servers are at work in it.

First come the result records, then the databases, then artifacts and teachers' answers. A record is written
after the run that it names and after the artifact that it refers to, so whatever a record in the file refers
to is in the file too. Artifacts never change once they are there.
"""

import hashlib
import io
import os
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pydantic import BaseModel

from percasym import __version__
from percasym.errors import PercasymError
from percasym.folders import flush
from percasym.home import Home
from percasym.lifecycle.collection import WRITING, alone
from percasym.lifecycle.databases import copy_database, databases
from percasym.lifecycle.garbage import weigh
from percasym.lifecycle.records import read_fields
from percasym.tracking import is_local, local_path

FORMAT = 1
MANIFEST = "manifest.json"
COMPRESSIONS = {".tar": None, ".tar.gz": "gzip", ".tgz": "gzip", ".tar.zst": "zstd"}
BUFFER = 1 << 20

Progress = Callable[[float, float], None]
"""Called with what is done and the total."""


class Manifest(BaseModel, frozen=True):
    """What a backup holds. It is the last file in it, so a backup without one is incomplete."""

    format: int = FORMAT
    percasym: str = __version__
    made: datetime
    home: str
    """Path of the home folder that it was made of."""
    artifacts: str
    """Path of the folder that its artifacts were in. What is in an object store is not in the backup."""
    counts: dict[str, int]
    """Files by the folder or database that they are in."""
    files: dict[str, str]
    """SHA-256 of each file."""


def compression(path: Path) -> str | None:
    """How a backup of that name is compressed.

    Raises:
        PercasymError: it has no name of a backup.
    """
    for suffix, kind in COMPRESSIONS.items():
        if path.name.endswith(suffix) and path.name != suffix:
            return kind
    raise PercasymError(f"{path}: name a file that ends in {', '.join(COMPRESSIONS)}")


def back_up(home: Home, target: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Writes a backup of `home` to the file `target`, which is there when it is whole, or not at all.

    Raises:
        PercasymError: there is no such home; `target` exists, lies within the home or cannot be written; a
            database is damaged; a gc or another backup is at work.
    """
    target = target.absolute()
    kind = compression(target)
    if not home.root.is_dir():
        raise PercasymError(f"there is nothing to back up: no folder {home.root}")
    if target.exists():
        raise PercasymError(f"{target} is there already: name a new file")
    if target.resolve().is_relative_to(home.root):
        raise PercasymError(f"{target} lies within the home folder: name a file elsewhere")
    with alone(home) as left:
        try:
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}{WRITING}") as folder:
                left.write_text(folder)
                aside = Path(folder) / target.name
                manifest = _write(home, aside, kind, Path(folder), progress)
                flush(aside)
                aside.rename(target)
        except OSError as error:
            raise PercasymError(f"cannot write {target}: {error.strerror or error}") from error
    return manifest


def _write(home: Home, aside: Path, kind: str | None, folder: Path, progress: Progress) -> Manifest:
    artifacts = local_path(home.artifacts) if is_local(home.artifacts) else home.root / "artifacts"
    places = (*databases(home), home.results, artifacts, home.teachers)
    total = sum(weigh(place)[0] for place in places)
    with _opened(aside, kind) as stream, closing(_Writer(stream, total, progress)) as writer:
        writer.add_records("results", home.results)
        for database in databases(home):
            copy = folder / database.name
            copy_database(database, copy)
            writer.add(database.relative_to(home.root).as_posix(), copy)
            copy.unlink()
        writer.add_folder("artifacts", artifacts)
        writer.add_folder("teachers", home.teachers)
        manifest = Manifest(
            made=datetime.now(UTC),
            home=str(home.root),
            artifacts=str(artifacts),
            counts=Counter(name.partition("/")[0] for name in writer.digests),
            files=writer.digests,
        )
        writer.add_text(MANIFEST, manifest.model_dump_json())
    return manifest


class _Writer:
    def __init__(self, stream: Any, total: float, progress: Progress) -> None:
        self.tar = tarfile.open(fileobj=stream, mode="w|", bufsize=BUFFER, format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.total, self.done, self.progress = total, 0, progress
        self.now = time.time()
        self.digests: dict[str, str] = {}

    def add_folder(self, name: str, folder: Path) -> None:
        """Everything in it but what is half copied; links as what they refer to."""
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if any(part.endswith(".part") for part in inside.parts[:2]):
                continue
            if path.is_file():
                self.add(f"{name}/{inside.as_posix()}", path)
            elif path.is_dir() and not path.is_symlink():
                info = tarfile.TarInfo(f"{name}/{inside.as_posix()}")
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                self.tar.addfile(info)

    def add_records(self, name: str, folder: Path) -> None:
        """Every file that is one. Prefect writes a record piece by piece, and half a record is none."""
        for path in sorted(folder.rglob("*")):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if read_fields(data) is None:
                continue
            self._add(f"{name}/{path.relative_to(folder).as_posix()}", io.BytesIO(data), len(data))

    def add(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self._add(name, file, os.fstat(file.fileno()).st_size)

    def add_text(self, name: str, text: str) -> None:
        data = text.encode()
        self._add(name, io.BytesIO(data), len(data))

    def close(self) -> None:
        self.tar.close()

    def _add(self, name: str, file: IO[bytes], size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = size, int(self.now)
        reader = _Reader(file, self)
        self.tar.addfile(info, reader)  # type: ignore[arg-type]
        self.digests[name] = reader.digest.hexdigest()


class _Reader:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes], writer: _Writer) -> None:
        self.file, self.writer, self.digest = file, writer, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        self.writer.done += len(data)
        self.writer.progress(min(self.writer.done, self.writer.total), self.writer.total)
        return data


@contextmanager
def _opened(path: Path, kind: str | None) -> Iterator[Any]:
    """A new file that nobody else may read: a home holds addresses, answers and perhaps users."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if kind:
            with pa.CompressedOutputStream(file, kind) as stream:
                yield stream
        else:
            yield file
