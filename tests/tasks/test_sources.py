"""Which changes of the code repeat a stage."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import sources
from tasks.sources import file_digest

FILES = {
    "tasks/__init__.py": "",
    "tasks/train.py": "def run():\n    from percasym.trainer import Trainer\n",
    "tasks/stage.py": "",
    "percasym/__init__.py": "",
    "percasym/trainer.py": "from percasym import losses\nfrom percasym.models import load\n",
    "percasym/losses.py": "import math\nfrom . import weights\n",
    "percasym/weights.py": "",
    "percasym/models/__init__.py": "from .tiny import load\n",
    "percasym/models/tiny.py": "load = 1\n",
    "percasym/models/template.jinja": "hello",
    "percasym/report.py": "import percasym.trainer\n",
    "percasym/config.py": "",
}


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The digest of tasks.train in a small tree of modules, with some of its files changed."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "sys", type("NoModules", (), {"modules": {}}))

    def digest(**changes: str) -> str:
        for name, text in {**FILES, **changes}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        sources.sources_digest.cache_clear()
        sources._module.cache_clear()
        return sources.sources_digest(("tasks.train",))

    return digest


@pytest.mark.parametrize(
    "name",
    [
        "tasks/train.py",
        "percasym/trainer.py",  # imported inside a function
        "percasym/losses.py",  # from a package
        "percasym/weights.py",  # relatively
        "percasym/models/__init__.py",
        "percasym/models/tiny.py",  # relatively, by a package
        "percasym/models/template.jinja",  # beside the modules of a package
    ],
)
def test_a_change_of_what_a_stage_imports_counts(name: str, digest: Callable[..., str]) -> None:
    assert digest() == digest()
    assert digest() != digest(**{name: FILES[name] + "\nx = 1\n"})


@pytest.mark.parametrize("name", ["percasym/report.py", "percasym/config.py", "tasks/stage.py"])
def test_a_change_of_anything_else_does_not(name: str, digest: Callable[..., str]) -> None:
    assert digest() == digest(**{name: "x = 1\n"})


def test_the_report_is_not_part_of_the_training_and_the_trainer_is() -> None:
    found: set[str] = set()
    pending = ["tasks.sft", "percasym.sft.__main__"]
    while pending:
        name = pending.pop()
        if name not in found and name not in sources.PLUMBING and (path := sources._path(name)):
            found.add(name)
            pending += sources._module(name, path)[1]
    assert {"percasym.sft.trainer", "percasym.sft.weighting", "percasym.response", "percasym.models"} <= found
    assert not {name for name in found if name.startswith(("percasym.report", "percasym.diagnostics"))}


def test_a_file_of_ones_own_counts_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1")
    before = sources.file_digest(f"{path}:Mine")
    path.write_text("2")
    assert before != sources.file_digest(f"{path}:Mine")
    assert sources.file_digest("sudoku") == ""
    assert sources.file_digest("fixed:0.5") == ""


def test_the_file_of_a_users_own_is_found_wherever_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("1")
    before = {file_digest(f"{file}:Mine"), file_digest(f"surrogate:{file}:mine:0.5")}
    file.write_text("2")
    assert len(before) == 1
    assert file_digest(f"surrogate:{file}:mine:0.5") not in before
    assert file_digest("surrogate:agreement:0.5") == ""
