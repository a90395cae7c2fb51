"""The store of record: MLflow runs with their parameters, curves, inputs and artifacts, and registered
models.

Everything goes by explicit run ids, never by MLflow's "active run", because stages run in threads. Artifacts
are written straight to where they stay: a folder by renaming, an object store by uploading, never through the
tracking server.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from percasym.home import Home

EXPERIMENT = "percasym"
# Tags that the MLflow UI understands.
PARENT = "mlflow.parentRunId"
KIND = {"mlflow.experimentKind": "custom_model_development"}

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Tracker:
    """The MLflow experiment of a home folder."""

    def __init__(self, uri: str, artifacts: str, locks: Path) -> None:
        self.address = uri.partition("?")[0]  # as `mlflow ui --backend-store-uri` takes it
        self.lock = locks / "mlflow.lock"
        with FileLock(self.lock):  # two that create the tables of one SQLite file at once lock each other out
            self.client = MlflowClient(uri)
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
            self.experiment = (
                experiment.experiment_id
                if experiment
                else self.client.create_experiment(EXPERIMENT, artifacts, KIND)
            )

    @classmethod
    def current(cls) -> "Tracker":
        """That of `Home.current()`: its own SQLite file, or the server that MLFLOW_TRACKING_URI names."""
        home = Home.current()
        home.locks.mkdir(parents=True, exist_ok=True)
        # SQLite waits for a busy writer instead of failing.
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.database}?timeout=60"
        return _tracker(uri, home.artifacts, home.locks)

    def start(self, name: str, tags: Mapping[str, str]) -> "Run":
        """A new run called `name`."""
        run = self.client.create_run(self.experiment, run_name=name, tags=dict(tags))
        return Run(self, run.info.run_id, run.info.artifact_uri)

    def run(self, run_id: str) -> "Run | None":
        """The run of that id; None if it has been deleted."""
        try:
            run = self.client.get_run(run_id)
        except MlflowException:
            return None
        return Run(self, run_id, run.info.artifact_uri)

    def latest(self, study: str, stage: str) -> str | None:
        """The artifact of a stage of the latest finished study called `study`; None without one."""
        studies = self.client.search_runs(
            [self.experiment],
            f"tags.stage = 'study' and attributes.run_name = '{study}' and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        if not studies:
            return None
        return str(self.client.get_run(studies[0].data.tags[f"stage.{stage}"]).info.artifact_uri)

    def metric(self, run_id: str, name: str) -> float | None:
        """The last value that a run has logged of a metric; None if it never did."""
        value = self.client.get_run(run_id).data.metrics.get(name)
        return None if value is None else float(value)

    def register(self, name: str, uri: str, run_id: str, tags: Mapping[str, str]) -> str:
        """The version of the registered model `name` that `run_id` made, registered now if it was not."""
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name)
        for version in self.client.search_model_versions(f"run_id = '{run_id}'"):
            if version.name == name:
                return str(version.version)
        version = self.client.create_model_version(name, source=uri, run_id=run_id, tags=dict(tags))
        return str(version.version)

    def alias(self, name: str, alias: str, version: str) -> None:
        """Moves `alias` of the registered model `name` to `version`."""
        self.client.set_registered_model_alias(name, alias, version)


@lru_cache
def _tracker(uri: str, artifacts: str, locks: Path) -> Tracker:
    return Tracker(uri, artifacts, locks)


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
        self.client.log_batch(self.id, params=[Param(key, str(value)) for key, value in values.items()])

    def tags(self, values: Mapping[str, str]) -> None:
        self.client.log_batch(self.id, tags=[RunTag(key, value) for key, value in values.items()])

    def metrics(self, values: Mapping[str, Any], step: int = 0, prefix: str = "") -> None:
        """Logs the numbers among `values` at `step`; anything else is left out."""
        now = int(time.time() * 1000)
        numbers = [
            Metric(prefix + key, float(value), now, step)
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


def is_local(uri: str) -> bool:
    return urlparse(uri).scheme in ("", "file")


def local_path(uri: str) -> Path:
    """The folder that a local artifact URI names."""
    parsed = urlparse(uri)
    return Path(url2pathname(parsed.path)) if parsed.scheme else Path(uri)


def fetch(uri: str, folder: Path) -> Path:
    """The artifact at `uri` as a local folder: itself if it is one, else a download kept in `folder`."""
    if is_local(uri):
        return local_path(uri)
    if not folder.exists():
        aside = folder.with_name(folder.name + ".part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        from mlflow.artifacts import download_artifacts  # which takes half a second to import

        download_artifacts(artifact_uri=uri, dst_path=str(aside))
        aside.rename(folder)
    return folder
