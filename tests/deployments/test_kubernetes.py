"""deployments/kubernetes, against the schemas of Kubernetes, and its parts against each other."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deployments"
VERSION = "1.34"
FILES = sorted(set((FOLDER / "kubernetes").glob("*.yaml")) - {FOLDER / "kubernetes" / "kustomization.yaml"})


def objects(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def built() -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", FOLDER / "kubernetes"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


@pytest.fixture(scope="module")
def pods(built: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in built
        if "template" in one.get("spec", {})
    }


def found(value: Any, name: str) -> Iterator[Any]:
    """All values of the field `name` in a nested value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from found(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from found(inner, name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_valid(path: Path) -> None:
    for one in objects(path.read_text()):
        kubernetes_validate.validate(one, VERSION, strict=True)


def test_a_misspelt_field_would_be_seen() -> None:
    one = objects((FOLDER / "kubernetes" / "shared.yaml").read_text())[0]
    one["spec"]["acessModes"] = one["spec"].pop("accessModes")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, VERSION, strict=True)


def test_what_is_built_of_them_is_valid(built: list[dict[str, Any]]) -> None:
    for one in built:
        kubernetes_validate.validate(one, VERSION, strict=True)
        assert one["metadata"].get("namespace", "percasym") == "percasym"
    assert {path.stem for path in FILES} - {"network", "namespace"} <= {
        one["metadata"]["name"] for one in built
    }


def test_what_is_referred_to_is_there(built: list[dict[str, Any]]) -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in built}
    secrets = set(re.findall(r"(?m)^(\w+)=", (FOLDER / "example.env").read_text()))
    assert {(one["name"], one["key"]) for one in found(built, "secretKeyRef")} == {
        ("percasym", key) for key in secrets
    }
    for kind, field, key in (
        ("ConfigMap", "configMapRef", "name"),
        ("ConfigMap", "configMap", "name"),
        ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
    ):
        assert {(kind, one[key]) for one in found(built, field)} <= names
    literals = yaml.safe_load((FOLDER / "kubernetes" / "kustomization.yaml").read_text())[
        "configMapGenerator"
    ]
    addresses = re.findall(r"http://(\w+):", str(literals))
    assert {("Service", name) for name in addresses} <= names


def test_pods_are_bounded_and_unprivileged(pods: dict[str, dict[str, Any]]) -> None:
    assert len(pods) == 7
    for spec in pods.values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            for wanted in container["resources"].values():  # which the schemas take for any text
                assert all(re.fullmatch(r"\d+(m|Mi|Gi)?", amount) for amount in wanted.values()), wanted


def test_each_pod_has_its_own_user_of_the_store(pods: dict[str, dict[str, Any]]) -> None:
    keys = {
        name: {one["key"] for one in found(spec, "secretKeyRef") if re.match("STORE_|AWS_", one["key"])}
        for name, spec in pods.items()
    }
    names = ("worker-cpu", "worker-gpu", "mlflow")
    users = {name: f"STORE_SECRET_{name.upper().replace('-', '_')}" for name in names}
    owner = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    wanted = {name: {key} for name, key in users.items()}
    wanted |= {"store": owner, "setup": owner | set(users.values()), "postgres": set(), "prefect": set()}
    assert keys == wanted
    for name in users:
        given = {one["name"]: one.get("value") for one in pods[name]["containers"][0]["env"]}
        assert given["AWS_ACCESS_KEY_ID"] == name


def test_gpus_are_asked_for_by_the_gpu_worker_alone(pods: dict[str, dict[str, Any]]) -> None:
    with_gpus = {
        name
        for name, spec in pods.items()
        if any("nvidia.com/gpu" in limits for limits in found(spec, "limits"))
    }
    assert with_gpus == {"worker-gpu"}


def test_workers_take_from_the_pools_of_the_deployments(pods: dict[str, dict[str, Any]]) -> None:
    deployments = yaml.safe_load((FOLDER / "prefect.yaml").read_text())["deployments"]
    pools = {deployment["work_pool"]["name"] for deployment in deployments}
    commands = [spec["containers"][0].get("args", []) for spec in pods.values()]
    assert {command[command.index("--pool") + 1] for command in commands if "--pool" in command} == pools


def test_images_are_built_by_the_dockerfile(pods: dict[str, dict[str, Any]]) -> None:
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)$", (FOLDER / "Dockerfile").read_text()))
    images = {container["image"] for spec in pods.values() for container in spec["containers"]}
    ours = {image.partition(":")[2] for image in images if image.split(":")[0].endswith("/percasym")}
    assert ours == {"base", "verl"}
    assert ours <= stages
