"""Which changes of the code repeat a stage."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import sources
from tasks.sft import sft
from tasks.sources import content_of_files

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
        sources.sources.cache_clear()
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
    assert not {"percasym.sft.weighting.ngdiff", "percasym.sft.weighting.fixed"} & found
    assert sft.uses("ngdiff:0.05") == ["percasym.sft.weighting.ngdiff"]
    assert sft.uses("own.py:NGDiff") == sft.uses(None) == []
    assert {"percasym.sft.trainer", "percasym.sft.weighting", "percasym.response", "percasym.models"} <= found
    assert not {name for name in found if name.startswith(("percasym.report", "percasym.diagnostics"))}


def test_a_file_of_ones_own_counts_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    one, other = tmp_path / "own.py", tmp_path / "renamed.py"
    for text in ("{}:Mine", "surrogate:{}:mine:0.5", "{}:Mine:scale=2"):
        one.write_text("1")
        other.write_text("1")
        before = content_of_files(text.format(one))
        assert content_of_files(text.format(other)) == before
        assert content_of_files(text.format(one).replace("ine", "y")) != before
        one.write_text("2")
        assert content_of_files(text.format(one)) != before
    for text in ("sudoku", "fixed:0.5", "surrogate:agreement:0.5"):
        assert content_of_files(text) == text


CODE = '''
"""A module."""
import logging

logger = logging.getLogger("x")


def weigh(lam: float) -> float:
    """The weight."""
    if lam > 1:
        logger.warning("too much: %s", lam)
        lam = 1
    return 2 * lam
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import logging\n", "import logging  # to tell\n"),
        ("A module.", "Another text."),
        ("The weight.", "The weight of perception."),
        ('    """The weight."""\n', ""),
        ("too much: %s", "more than one: %s"),
        ('        logger.warning("too much: %s", lam)\n', ""),
        ("    return", "\n    # at last\n    return"),
        ("weigh(lam: float)", "weigh(\n    lam: float\n)"),
    ],
)
def test_what_changes_no_meaning_changes_no_digest(before: str, after: str) -> None:
    assert before in CODE
    assert sources._meaning(CODE.replace(before, after).encode()) == sources._meaning(CODE.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [("2 * lam", "3 * lam"), ("        lam = 1", "    lam = 1"), ("> 1", ">= 1"), ("weigh", "weight")],
)
def test_what_changes_the_meaning_changes_the_digest(before: str, after: str) -> None:
    assert before in CODE
    assert sources._meaning(CODE.replace(before, after, 1).encode()) != sources._meaning(CODE.encode())
