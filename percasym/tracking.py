"""The store of record: MLflow runs with their parameters, curves, inputs and artifacts, and registered
models.

Everything goes by explicit run ids, never by MLflow's "active run", because stages run in threads. Artifacts
are written straight to where they stay: a folder by renaming, an object store by uploading, never through the
tracking server.
"""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse
from urllib.request import url2pathname

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from percasym.allowed import check_artifact
from percasym.errors import PercasymError
from percasym.folders import new_file
from percasym.home import Home
from percasym.seals import Damaged, check

EXPERIMENT = "percasym"
LOCK, SQLITE = "mlflow.lock", "sqlite:///"
# Tags that the MLflow UI understands.
PARENT = "mlflow.parentRunId"
PARTS = "parts"  # tag of what the key of a stage was made of, as JSON: see percasym.why
MOST_PARAMS = 100  # that MLflow takes at once
RUN_ID = re.compile(r"[0-9a-f]{32}")
KIND = {"mlflow.experimentKind": "custom_model_development"}

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def create_database(database: Path, create: Callable[[str], Any] | None = None) -> None:
    """Makes the tables of a SQLite file that is not there, aside: if a process is killed meanwhile, MLflow
    cannot go on with what it leaves of them.

    Args:
        create: makes them at an address; None: those of runs and models.
    """
    if not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        with new_file(database) as aside:
            (create or _create_tables)(f"{SQLITE}{aside}")


def _create_tables(address: str) -> None:
    MlflowClient(address).search_experiments()


class Tracker:
    """The MLflow experiment of a home folder."""

    def __init__(self, uri: str, artifacts: str, locks: Path, writable: bool) -> None:
        self.address = uri.partition("?")[0]  # as `mlflow ui --backend-store-uri` takes it
        self.lock = locks / LOCK
        # Two that create the tables of one SQLite file at once lock each other out.
        with FileLock(self.lock) if writable else nullcontext():
            if writable and self.address.startswith(SQLITE):
                create_database(Path(self.address.removeprefix(SQLITE)))
            self.client = MlflowClient(uri)
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
            self.experiment = (
                experiment.experiment_id
                if experiment
                else self.client.create_experiment(EXPERIMENT, artifacts, KIND)
            )

    @classmethod
    def current(cls) -> "Tracker":
        """That of `Home.current()`: its own SQLite file, or the server that MLFLOW_TRACKING_URI names.

        Where the home cannot be written to, what is there can still be looked at.
        """
        home = Home.current()
        # SQLite waits for a busy writer instead of failing.
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.database}?timeout=60"
        if home.writable:
            home.locks.mkdir(parents=True, exist_ok=True)
        return _tracker(uri, home.artifacts, home.locks, home.writable)

    def start(self, name: str, tags: Mapping[str, str]) -> "Run":
        """A new run called `name`, whose tag `study` names the study that it is part of."""
        parent = tags.get(PARENT)
        tags = {"study": self.client.get_run(parent).info.run_name if parent else name, **tags}
        run = self.client.create_run(self.experiment, run_name=name, tags=dict(tags))
        return Run(self, run.info.run_id, run.info.artifact_uri)

    def run(self, run_id: str) -> "Run | None":
        """The run of that id; None if there is none, or it has been deleted, or this is no id."""
        if not RUN_ID.fullmatch(run_id):
            return None
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return Run(self, run_id, run.info.artifact_uri) if run.info.lifecycle_stage == "active" else None

    def latest(self, study: str, stage: str) -> str | None:
        """The artifact of a stage of the latest finished study called `study`; None without one."""
        run = self.newest(stage="study", study=study)
        stage_run = run and self.tag(run, f"stage.{stage}")
        return str(self.client.get_run(stage_run).info.artifact_uri) if stage_run else None

    def mark_killed(self, alive: Callable[[str], bool]) -> None:
        """Marks the runs of flows as killed that are said to be running and are not, with their stages."""
        running = self.client.search_runs([self.experiment], "attributes.status = 'RUNNING'")
        dead = {run.info.run_id for run in running if PARENT not in run.data.tags}
        dead = {run_id for run_id in dead if not alive(run_id)}
        for run in running:
            if run.info.run_id in dead or run.data.tags.get(PARENT) in dead:
                self.client.set_terminated(run.info.run_id, "KILLED")

    def metric(self, run_id: str, name: str) -> float | None:
        """The last value that a run has logged of a metric; None if it never did."""
        value = self.client.get_run(run_id).data.metrics.get(allowed_name(name))
        return None if value is None else float(value)

    def register(self, name: str, uri: str, run_id: str, tags: Mapping[str, str]) -> str:
        """The version of the registered model `name` that `run_id` made, registered now if it was not."""
        with FileLock(self.lock):  # of two studies that end at the same moment, one registers after the other
            if not self.client.search_registered_models(equals("name", name)):
                self.client.create_registered_model(name)
            for version in self.client.search_model_versions(f"run_id = '{run_id}'"):
                if version.name == name:
                    return str(version.version)
            version = self.client.create_model_version(name, source=uri, run_id=run_id, tags=dict(tags))
            return str(version.version)

    def watched(self, names: Collection[str], aliases: Sequence[str]) -> "list[Version]":
        """The registered models' versions that have one of `aliases`, each with it, in the order of names.

        Args:
            names: of registered models; empty: all of them.
        """
        found = []
        for model in self.client.search_registered_models():
            if not names or model.name in names:
                for alias in aliases:
                    with suppress(MlflowException):  # this model has no such alias
                        found.append(self.version(model.name, alias))
        return sorted(found, key=lambda version: (version.name, version.alias))

    def version(self, name: str, alias: str) -> "Version":
        """A registered version by its alias.

        Raises:
            MlflowException: there is none.
        """
        version = self.client.get_model_version_by_alias(name, alias)
        return Version(name, alias, str(version.version), version.run_id, version.source)

    def params(self, run_id: str) -> dict[str, str]:
        return dict(self.client.get_run(run_id).data.params)

    def tag(self, run_id: str, name: str) -> str | None:
        value = self.client.get_run(run_id).data.tags.get(allowed_name(name))
        return None if value is None else str(value)

    def newest(self, **tags: str) -> str | None:
        """The id of the newest finished run with these tags; None without one."""
        runs = self._search("attributes.status = 'FINISHED'", 1, tags)
        return str(runs[0].info.run_id) if runs else None

    def having(self, **tags: str) -> Sequence[Any]:
        """MLflow's runs with these tags, in whatever state they are, the newest first."""
        found: Sequence[Any] = self._search("", 100, tags)
        return found

    def _search(self, condition: str, limit: int, tags: Mapping[str, str]) -> Any:
        wanted = [*(equals(f"tags.{name}", value) for name, value in tags.items()), condition]
        return self.client.search_runs(
            [self.experiment],
            " and ".join(filter(None, wanted)),
            order_by=["attributes.start_time DESC"],
            max_results=limit,
        )

    def forget(self, run_id: str, tag: str) -> None:
        """Takes a tag from a run, if it has it."""
        if self.tag(run_id, tag) is not None:
            self.client.delete_tag(run_id, tag)

    def finish(self, run_id: str) -> None:
        """Marks a run as finished, whatever it was."""
        self.client.set_terminated(run_id, "FINISHED")

    def alias(self, name: str, alias: str, version: str) -> None:
        """Moves `alias` of the registered model `name` to `version`."""
        self.client.set_registered_model_alias(name, alias, version)


class Version(NamedTuple):
    """A registered model's version, found by an alias."""

    name: str
    alias: str
    number: str
    run: str
    """That made it."""
    source: str
    """URI of the checkpoint."""

    @property
    def checkpoint(self) -> Path:
        """The checkpoint as a local folder, downloaded if it has to be: with all that it was made with, as
        that is what its seal is of."""
        artifact, _, folder = self.source.rpartition("/")
        return fetch(artifact, fetched(self.run)) / folder


def equals(column: str, value: str) -> str:
    """The condition that a column is `value`, as MLflow's filters take it: they know no escapes.

    Raises:
        PercasymError: `value` has both kinds of quotes, so there is no such condition.
    """
    quote = '"' if "'" in value else "'"
    if quote in value:
        raise PercasymError(f"MLflow cannot look for {value!r}: it has both kinds of quotes")
    return f"{column} = {quote}{value}{quote}"


def find_model(name: str) -> str:
    """What a user calls a model as what can be loaded: NAME@ALIAS, of a registered model, as its folder; the
    path of a folder and an id of the Hub as they are.

    Raises:
        PercasymError: no such registered model, or none with that alias.
    """
    model, at, alias = name.rpartition("@")
    if not at or Path(name).exists():
        return name
    try:
        return str(Tracker.current().version(model, alias).checkpoint)
    except MlflowException:
        raise PercasymError(f"there is no registered model {model!r} with the alias {alias!r}") from None


@lru_cache
def _tracker(uri: str, artifacts: str, locks: Path, writable: bool) -> Tracker:
    return Tracker(uri, artifacts, locks, writable)


class Run:
    """One MLflow run."""

    def __init__(self, tracker: Tracker, run_id: str, uri: str) -> None:
        self.client, self.lock, self.id, self.uri = tracker.client, tracker.lock, run_id, uri

    @contextmanager
    def open(self) -> Iterator["Run"]:
        """Marks the run as finished, failed or killed when the work inside ends so."""
        self.client.update_run(self.id, status="RUNNING")
        try:
            yield self
        except BaseException as error:
            self.client.set_terminated(self.id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        self.client.set_terminated(self.id, "FINISHED")

    def params(self, values: Mapping[str, Any]) -> None:
        params = [Param(key, str(value)) for key, value in values.items()]
        for first in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(self.id, params=params[first : first + MOST_PARAMS])

    def tags(self, values: Mapping[str, str]) -> None:
        self.client.log_batch(self.id, tags=[RunTag(allowed_name(k), v) for k, v in values.items()])

    def link(self, stages: Mapping[str, str]) -> None:
        """Links the runs of stages from this run, each by the name of its stage and its label."""
        self.tags({f"stage.{name.replace(' ', '.')}": run_id for name, run_id in stages.items()})

    def metrics(self, values: Mapping[str, Any], step: int = 0, prefix: str = "") -> None:
        """Logs the numbers among `values` at `step`; anything else is left out."""
        now = int(time.time() * 1000)
        numbers = [
            Metric(allowed_name(prefix + key), float(value), now, step)
            for key, value in values.items()
            if isinstance(value, int | float)
        ]
        self.client.log_batch(self.id, metrics=numbers)

    def dataset(self, name: str, digest: str, uri: str, context: str) -> None:
        """Logs a data set as an input, by a digest of its content."""
        dataset = Dataset(name, digest[:32], source_type="local" if is_local(uri) else "http", source=uri)
        tag = InputTag("mlflow.data.context", context)
        with FileLock(self.lock):  # MLflow fails where two runs log a new data set at the same moment
            self.client.log_inputs(self.id, datasets=[DatasetInput(dataset, [tag])])

    def publish(self, folder: Path) -> None:
        """Makes the content of `folder` the run's artifact, all at once; `folder` may be gone afterwards."""
        if not is_local(self.uri):
            self.client.log_artifacts(self.id, str(folder))
            return
        target = local_path(self.uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(target.name + ".part")
        for leftover in (aside, target):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.move(folder, aside)  # a copy where the artifacts are on another disk
        aside.rename(target)


def allowed_name(name: str) -> str:
    """A name of a tag or a metric as MLflow takes it: a recipe or a reward may have other characters."""
    return re.sub(r"[^\w./: -]", "_", name, flags=re.ASCII)


def is_local(uri: str) -> bool:
    return urlparse(uri).scheme in ("", "file")


def local_path(uri: str) -> Path:
    """The folder that a local artifact URI names."""
    parsed = urlparse(uri)
    return Path(url2pathname(parsed.path)) if parsed.scheme else Path(uri)


def fetched(run_id: str) -> Path:
    """Where the artifact of a run is kept when it is downloaded."""
    return Home.current().work / "fetched" / run_id


def fetch(uri: str, folder: Path) -> Path:
    """The artifact at `uri` as a local folder: itself if it is one, else a download kept in `folder`.

    Raises:
        Damaged: it is not what it was when it was made.
    """
    root = Home.current().artifacts
    check_artifact(*(str(local_path(one)) if is_local(one) else one for one in (uri, root)))
    if is_local(uri):
        folder = local_path(uri)
        check(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):  # several stages want one input at the same time
        if not folder.exists():
            aside = folder.with_name(folder.name + ".part")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            from mlflow.artifacts import download_artifacts  # which takes half a second to import

            Path(download_artifacts(artifact_uri=uri, dst_path=str(aside))).rename(folder)
            shutil.rmtree(aside)
        try:
            check(folder)
        except Damaged:
            shutil.rmtree(folder)  # the download may be to blame
            raise
    return folder
