"""Where a machine keeps its studies: one folder, which can be deleted or copied as a whole."""

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from percasym.errors import PercasymError

VARIABLE = "PERCASYM_HOME"
ARTIFACTS = "PERCASYM_ARTIFACTS"
DEFAULT = ".percasym"
MISREAD = re.compile(r"\?|%[0-9a-fA-F]{2}")  # ends, or is decoded in, the address of a database or a file


@dataclass(frozen=True)
class Home:
    """The home folder. `Home.current()` is the one named by PERCASYM_HOME, or else ./.percasym."""

    root: Path

    @classmethod
    def current(cls) -> "Home":
        """The home folder of this process.

        It is closed to other users of the machine but the group's, as is all that this process and its
        children write from now on.

        Raises:
            PercasymError: MLflow or Prefect would take its path for another one.
        """
        root = Path(os.environ.get(VARIABLE) or DEFAULT).expanduser().resolve()
        for path in (str(root), os.environ.get(ARTIFACTS, "")):
            if "://" not in path and (MISREAD.search(path) or not path.isprintable()):
                raise PercasymError(
                    f"{path!r} cannot keep studies, as it has a ?, a % before two digits or what cannot be "
                    "printed, where others read a path in another way: name another folder"
                )
        home = cls(root)
        _mask_others()
        _shut_out_others(home.root)
        _shut_out_others(home.database)
        return home

    @property
    def writable(self) -> bool:
        """Whether it can be written to; one that is not there yet counts as such."""
        places = (self.root, self.locks, self.database)
        return all(os.access(place, os.W_OK) for place in places if place.exists())

    @property
    def database(self) -> Path:
        """MLflow's own database, where MLFLOW_TRACKING_URI does not name a server."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> str:
        """Where artifacts go: a folder, or what PERCASYM_ARTIFACTS says, such as s3://bucket/percasym."""
        return os.environ.get(ARTIFACTS) or str(self.root / "artifacts")

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def results(self) -> Path:
        """References of finished stages, as Prefect's result records: results/STAGE/KEY."""
        return self.root / "results"

    @property
    def work(self) -> Path:
        """What unfinished stages have so far: work/STAGE/KEY. A killed stage finds its checkpoints there."""
        return self.root / "work"

    @property
    def teachers(self) -> Path:
        """What language models have answered as teachers, kept for good: teachers/KEY/SHARD.jsonl."""
        return self.root / "teachers"

    @property
    def up(self) -> Path:
        """What `percasym up` says of itself while its servers answer."""
        return self.root / "up.json"

    @property
    def login(self) -> Path:
        """USER:PASSWORD of the servers of this home, for its owner's eyes only."""
        return self.root / "login"

    @property
    def serving(self) -> Path:
        """Written by the process that runs deployments when it is ready: its process id."""
        return self.root / "serving.pid"

    @property
    def locks(self) -> Path:
        return self.root / "locks"


@cache  # once a process: between the two calls other threads would write with another mask
def _mask_others() -> None:
    os.umask(os.umask(stat.S_IRWXO) | stat.S_IRWXO)


def _shut_out_others(path: Path) -> None:
    """Takes others' rights to what is there already, if it is ours; a folder such as /tmp stays as it is."""
    with suppress(OSError):
        mode = path.stat().st_mode
        if mode & stat.S_IRWXO and not mode & stat.S_ISVTX:
            path.chmod(stat.S_IMODE(mode) & ~stat.S_IRWXO)
