"""The stage that leaves a gallery, and a table that MLflow's own client reads back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client

from percasym.presets import load_preset
from percasym.report import ReportInput
from percasym.sections import Section
from percasym.tracking import Tracker, local_path
from tasks.gallery import gallery
from tasks.stage import Reference, Work, stage

pytestmark = pytest.mark.usefixtures("prefect_server")


@stage()
def generate(work: Work, config: Section, folder: str) -> None:
    shutil.copytree(folder, work.folder, dirs_exist_ok=True)


def test_failures_and_a_table_for_mlflow(
    home: Path, make_study: Callable[..., ReportInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(n=40)
    evaluated = home / "evaluated"
    evaluated.mkdir()
    shutil.copy(study.models[3].results, evaluated / "results.parquet")
    config = load_preset("mini", {})

    @flow
    def run() -> Reference:
        parent = Tracker.current().start("mini", {}).id
        data = generate.submit(config, parent, folder=str(study.dataset))
        results = generate.submit(config, parent, folder=str(evaluated))
        return gallery.submit(config, parent, "ngdiff", data=data, results=results).result()

    reference = run()
    folder = local_path(reference.uri)
    assert "NGDiff: what went wrong" in (folder / "gallery.html").read_text()
    tracker = Tracker.current()
    client = tracker.client
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.address)  # `load_table` asks there, not its client
    table = client.load_table(tracker.experiment, "samples.json", run_ids=[reference.run])
    assert len(table) == 40
    assert set(table["outcome"]) > {"right", "perception"}
    first = table.iloc[0]
    assert (folder / first["picture"]["filepath"]).read_bytes().startswith(b"\x89PNG")
    assert first["picture"]["type"] == "image"
    tag = client.get_run(reference.run).data.tags["mlflow.loggedArtifacts"]
    assert json.loads(tag) == [{"path": "samples.json", "type": "table"}]
    with get_client(sync_client=True) as prefect:
        artifacts = [artifact for artifact in prefect.read_artifacts() if artifact.key == "failures-ngdiff"]
    assert artifacts
    assert "wrong: perception" in str(artifacts[-1].data)
    assert "data:image/png" in str(artifacts[-1].data)
