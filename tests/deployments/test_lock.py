"""uv.lock: which files our libraries are, from where, in the versions that constraints.txt names."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

ROOT = Path(__file__).parents[2]
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"percasym"}


def plain(name: str) -> str:
    """A name as PyPI compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {plain(name): version for name, _, version in (line.partition("==") for line in lines)}


@pytest.fixture(scope="module")
def others() -> list[dict[str, Any]]:
    return [package for package in LOCK["package"] if package["name"] not in OURS]


def test_every_file_has_a_digest_and_comes_from_pypi(others: list[dict[str, Any]]) -> None:
    assert len(others) > 300
    for package in others:
        assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"])
            url = urlparse(file["url"])
            assert (url.scheme, url.hostname) == ("https", "files.pythonhosted.org")


def test_versions_are_those_of_the_constraints(others: list[dict[str, Any]]) -> None:
    wanted = constraints()
    locked = {package["name"]: package["version"] for package in others}
    assert len(locked) == len(others), "one version of each"
    assert {name: version for name, version in locked.items() if wanted.get(name) != version} == {}


def test_it_is_of_this_project() -> None:
    """As `uv lock --check` would find, which takes the index."""
    (project,) = (package for package in LOCK["package"] if package["name"] == "percasym")
    known = {(one["name"], extra_of(one)) for one in project["metadata"]["requires-dist"]}
    asked = {(plain(re.split(r"[^\w.-]", one)[0]), "") for one in PROJECT["dependencies"]}
    for extra, names in PROJECT["optional-dependencies"].items():
        asked |= {(plain(re.split(r"[^\w.-]", one)[0]), extra) for one in names}
    assert known == asked


def extra_of(requirement: dict[str, Any]) -> str:
    found = re.search(r"extra == '([\w-]+)'", requirement.get("marker", ""))
    return found[1] if found else ""
