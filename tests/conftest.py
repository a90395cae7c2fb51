"""Settings of all tests, and what the tests of stages and flows share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = [
    "fixtures.architectures",
    "fixtures.study",
    "fixtures.teacher",
    "fixtures.tracked",
    "fixtures.training",
]

settings.register_profile("percasym", deadline=None)  # a busy machine is no failure
settings.load_profile("percasym")


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server for the whole session, as one takes ten seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
        from prefect.testing.utilities import prefect_test_harness

        # A flow that sends heartbeats takes up to a second to end.
        with (
            prefect_test_harness(server_startup_timeout=180),
            temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        ):
            yield


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content: to create its tables takes seconds, to copy them nothing."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def home(tmp_path: Path, mlflow_tables: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new home folder, the current one."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(mlflow_tables, folder / "mlflow.db")
    monkeypatch.setenv("PERCASYM_HOME", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder
