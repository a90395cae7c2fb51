"""Prints what percasym needs with some extras, one requirement a line, so that an image gets its libraries
before our code.

    python deployments/requirements.py team,vllm
"""

import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """The dependencies of pyproject.toml and of these extras."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    return [
        *project["dependencies"],
        *(one for name in extras for one in project["optional-dependencies"][name]),
    ]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1].split(","))))
