"""deployments/setup.py: the users of the store, and what a run may choose in a pool."""

import asyncio
import importlib.util
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from fixtures.local_server import local_server
from prefect.workers.process import ProcessJobConfiguration

FILE = Path(__file__).parents[2] / "deployments" / "setup.py"


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("percasym_setup", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_users_may_do_what_they_have_to_and_nothing_else(setup: ModuleType) -> None:
    rights = {
        statement["Principal"]["AWS"][0]: set(statement["Action"])
        for statement in setup.policy("bucket", setup.USERS)["Statement"]
    }
    assert rights["mlflow"] == {"s3:GetObject", "s3:ListBucket"}
    assert rights["worker-cpu"] == rights["worker-gpu"]
    assert "s3:PutObject" in rights["worker-cpu"]
    for actions in rights.values():
        assert not [action for action in actions if "Delete" in action or "Policy" in action or "*" in action]


def test_a_user_that_is_there_gets_its_new_secret(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As versitygw answers: cmd/versitygw/admin.go and s3api/controllers/admin.go of its sources."""
    asked: list[tuple[str, dict[str, str | None]]] = []
    policies: list[bytes] = []

    class Store(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

        def do_PATCH(self) -> None:
            body = ElementTree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=owner/")
            assert "SignedHeaders=" in self.headers["Authorization"]
            assert len(self.headers["X-Amz-Content-SHA256"]) == 64
            asked.append((self.path, {one.tag: one.text for one in body}))
            there = self.path == "/create-user" and asked[-1][1]["Access"] == "mlflow"
            self._answer(409 if there else 200)

        def do_PUT(self) -> None:
            policies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-owner")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with local_server(Store) as address:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", address)
        setup.make_users("bucket", {"mlflow": "a&b", "worker-cpu": "c"})
        setup.make_users("bucket", {})  # a store with users of its own
    assert asked == [
        ("/create-user", {"Access": "mlflow", "Secret": "a&b", "Role": "user"}),
        ("/update-user?access=mlflow", {"Secret": "a&b"}),
        ("/create-user", {"Access": "worker-cpu", "Secret": "c", "Role": "user"}),
    ]
    assert len(policies) == 1
    assert b"worker-cpu" in policies[0]
    assert b"worker-gpu" not in policies[0]


def test_a_run_chooses_neither_its_command_nor_its_environment(
    setup: ModuleType, prefect_server: None
) -> None:
    chosen = {"command": "id", "env": {"PERCASYM_ALLOWED": "/"}, "working_dir": "/", "stream_output": False}
    job = asyncio.run(ProcessJobConfiguration.from_template_and_values(setup.job_template(), chosen))
    assert (job.command, job.env, job.working_dir, job.stream_output) == (None, {}, None, False)
