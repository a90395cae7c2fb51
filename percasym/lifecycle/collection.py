"""Garbage in a home folder: what nothing refers to any more."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from percasym.errors import PercasymError
from percasym.home import Home
from percasym.lifecycle.garbage import Found, Garbage, remove, weigh
from percasym.lifecycle.records import read_record, torn
from percasym.lifecycle.references import DELETED, KEY, References, answering
from percasym.tracking import RUN_ID, Tracker, is_local, local_path

DAY = 86_400.0  # seconds
STARTING = "starting-"  # begins what a flow has in place of its run's id while it has none
WRITING = ".writing-"  # in the name of a folder in which a backup is written
RUN_FILE = "run"  # in the folder of an unfinished stage: its MLflow run
FETCHED = "fetched"

Lock = Callable[[str], BaseFileLock]
"""The lock of a stage, STAGE/KEY, or of the flow of a run, run/ID; not acquired."""


@contextmanager
def alone(home: Home) -> Iterator[Path]:
    """Keeps a collection and a backup of one home from working at the same time.

    Yields a file to name a folder in that is removed by the next one, if this one is killed.

    Raises:
        PercasymError: one of them is at work.
    """
    home.locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.locks / "lifecycle.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PercasymError(
            f"a backup or a gc of {home.root} is at work: try again when it is done"
        ) from None
    left = home.locks / "lifecycle.left"
    try:
        folder = Path(_text(left))
        if WRITING in folder.name and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        yield left
    finally:
        left.unlink(missing_ok=True)
        lock.release()


class Collector:
    """Finds the garbage of a home, and removes it.

    Args:
        age: seconds after which what a killed stage has left, and downloads, are garbage.
        unknown: artifacts of runs that this MLflow does not know are garbage too. They may be another
            MLflow's.

    Raises:
        PercasymError: MLflow does not answer.
    """

    def __init__(
        self, home: Home, tracker: Tracker, lock: Lock, age: float = 7 * DAY, unknown: bool = False
    ) -> None:
        self.home, self.tracker, self.lock, self.age, self.unknown = home, tracker, lock, age, unknown
        self.now = _now(home.locks)
        with answering():
            experiment = tracker.client.get_experiment(tracker.experiment)
        uris = {str(home.root / "artifacts"), home.artifacts, experiment.artifact_location}
        self.stores = {local_path(uri).resolve() for uri in uris if is_local(uri)}
        # Before MLflow is asked: a run is known before it has an artifact.
        self.artifacts = [
            path for store in self.stores for path in _folders(store, 1) if RUN_ID.fullmatch(path.name)
        ]
        self.references = References(tracker)
        self.working = self._working()
        self.living = self.references.from_roots(self.working - {""})

    def find(self) -> Found:
        """Looks, and changes nothing."""
        found = Found()
        found.garbage += self._unfinished()
        found.garbage += self._unreferred(found)
        found.garbage += self._downloads()
        remote = sum(not is_local(run.info.artifact_uri) for run in self.references.active.values())
        if remote:
            found.kept.append(f"artifacts of {remote} runs are in an object store: gc removes nothing there")
        if self.working:
            found.kept.append(
                f"{len(self.working)} flows are at work and may find any artifact in the cache: "
                "artifacts stay until they end"
            )
        else:
            found.orphans = [run_id for run_id in self.references.active if self._orphaned(run_id)]
        return found

    def collect(self, found: Found) -> list[Garbage]:
        """Removes what was found, but for what is used again since. Returns what is gone."""
        removed = []
        for garbage in found.garbage:
            try:
                with self.lock(garbage.stage).acquire(timeout=0) if garbage.stage else nullcontext():
                    if not self._used(garbage):
                        remove(garbage)
                        removed.append(garbage)
            except Timeout:
                continue
        if found.orphans and not self.references.outdated():
            for run_id in found.orphans:
                self.tracker.client.delete_run(run_id)
        return removed

    def _used(self, garbage: Garbage) -> bool:
        """Whether somebody has begun to use it; to be asked under the lock of its stage."""
        if weigh(garbage.path)[1] > garbage.changed:
            return True
        if garbage.record and (kept := read_record(garbage.record)) and kept.run != garbage.run:
            return True
        return bool(garbage.run) and self.references.outdated()

    def _working(self) -> set[str]:
        """Runs of flows that hold their lock, deleted in MLflow or not; "" for one that has no run yet."""
        pattern = Path(self.lock("run/*").lock_file)
        before, after = pattern.name.split("*")
        names = [path.name for path in pattern.parent.glob(pattern.name)]
        flows = [name.removeprefix(before).removesuffix(after) for name in names]
        held = {name for name in flows if self._held(f"run/{name}")}
        return {"" if name.startswith(STARTING) else name for name in held}

    def _unfinished(self) -> Iterator[Garbage]:
        """What killed stages have left long ago. The runs of the others live, as they may be resumed."""
        resumable = set()
        for folder in _folders(self.home.work, 2):
            run_id, stage = _text(folder / RUN_FILE), f"{folder.parent.name}/{folder.name}"
            if folder.parent.name == FETCHED or run_id in self.living:
                continue
            size, changed = weigh(folder)
            if self.now - changed < self.age or self._held(stage):
                resumable |= set(RUN_ID.findall(run_id))  # of what a full disk has left, none
            else:
                yield Garbage(folder, f"unfinished, and left {self._ago(changed)}", size, changed, "", stage)
        self.living |= self.references.from_roots(resumable)

    def _unreferred(self, found: Found) -> Iterator[Garbage]:
        """Artifacts that nothing refers to, and records without an artifact."""
        records = {path: kept for path in self.home.results.glob("*/*") if (kept := read_record(path))}
        record_of = {kept.run: path for path, kept in records.items()}
        strangers = 0
        for folder in self.artifacts:
            run_id, tags = folder.name, self.references.tags(folder.name)
            record = record_of.get(run_id)
            stage = f"{tags['stage']}/{tags[KEY]}" if KEY in tags else _stage(record) if record else ""
            if run_id in self.living:
                yield from self._parts(folder, stage)
            elif self.references.run(run_id) is None and not self.unknown:
                strangers += 1
            elif not self.working:
                size, changed = weigh(folder)
                size += weigh(record)[0] if record else 0
                yield Garbage(folder, self._why(run_id), size, changed, run_id, stage, record)
        for path in self.home.results.glob("*/*"):
            kept = records.get(path)
            if kept and is_local(kept.uri) and not local_path(kept.uri).exists():
                yield Garbage(path, "its artifact is gone", *weigh(path), stage=_stage(path))
            elif kept is None and torn(path) and not self._held(_stage(path)):
                yield Garbage(path, "half written", *weigh(path), stage=_stage(path))
        if strangers:
            found.kept.append(
                f"{strangers} artifacts are of runs that this MLflow does not know: if no other one does, "
                "--unknown takes them too"
            )

    def _parts(self, folder: Path, stage: str) -> Iterator[Garbage]:
        for path in folder.glob("*.part"):
            size, changed = weigh(path)
            if self.now - changed > DAY and not (stage and self._held(stage)):
                yield Garbage(path, f"half copied {self._ago(changed)}", size, changed, "", stage)

    def _downloads(self) -> Iterator[Garbage]:
        for folder in _folders(self.home.work / FETCHED, 1):
            size, changed = weigh(folder)
            part = folder.suffix == ".part"
            if self.now - changed > (DAY if part else self.age) and not self.working:
                what = "half downloaded" if part else "a copy out of the object store, made"
                yield Garbage(folder, f"{what} {self._ago(changed)}", size, changed)

    def _orphaned(self, run_id: str) -> bool:
        """Whether nothing refers to a run, which is of a stage that keeps its artifact here."""
        run = self.references.active[run_id]
        if run_id in self.living or KEY not in run.data.tags or not is_local(run.info.artifact_uri):
            return False
        folder = local_path(run.info.artifact_uri).resolve()
        return any(folder.is_relative_to(store) for store in self.stores)

    def _why(self, run_id: str) -> str:
        run = self.references.run(run_id)
        if run is None:
            return "MLflow does not know its run"
        if run.info.lifecycle_stage == DELETED:
            return f"{run.info.run_name}: deleted in MLflow"
        study = f" {name}" if (name := run.data.tags.get("study")) else ""
        return f"{run.info.run_name}: its study{study} is deleted in MLflow"

    def _held(self, key: str) -> bool:
        lock = self.lock(key)
        if not Path(lock.lock_file).exists():
            return False
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _ago(self, moment: float) -> str:
        return f"{(self.now - moment) / DAY:.0f} days ago"


def _folders(place: Path, depth: int) -> list[Path]:
    """The folders so deep below `place`, no links."""
    return [path for path in place.glob("/".join("*" * depth)) if path.is_dir() and not path.is_symlink()]


def _stage(record: Path) -> str:
    return f"{record.parent.name}/{record.name}"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _now(folder: Path) -> float:
    """What time it is for the disk of `folder`, which may be another machine's, with another clock."""
    probe = folder / f".clock-{os.getpid()}"
    try:
        probe.touch()
        moment = probe.stat().st_mtime
        probe.unlink()
    except OSError:  # it is read-only, so nothing will be removed
        return time.time()
    return moment
