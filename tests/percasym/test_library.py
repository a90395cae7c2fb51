"""percasym from Python, as a user calls it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

import percasym
from percasym import compare, evaluate, load_puzzle, load_results, summarise
from percasym.datasets import generate_rows, write_dataset
from percasym.errors import PercasymError
from percasym.evaluation import SCHEMA
from percasym.miniature import TinyConfig
from percasym.models.tiny import build_tiny

ROOT = Path(__file__).parents[2]
PUZZLE = load_puzzle("sudoku", {"rows": 2, "cols": 2, "side": 64, "text": "cells"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [*PUZZLE.vocabulary(), *load_puzzle("sudoku", {}).vocabulary()]
    config = TinyConfig(layers=1, vision_layers=1, side=64)
    return build_tiny(config, list(dict.fromkeys(words)), tmp_path_factory.mktemp("model"))


def test_a_model_is_measured_on_puzzles_and_on_a_data_set_alike(model: Path, tmp_path: Path) -> None:
    rows = evaluate(model, PUZZLE, n=3, max_new_tokens=8)
    assert list(rows.columns) == SCHEMA.names
    assert len(rows) == 6
    write_dataset(tmp_path / "data", {"test": generate_rows(PUZZLE, "test", 0, 3)})
    again = evaluate(model, tmp_path / "data", n=3, max_new_tokens=8)
    assert rows.sort_values(["id", "mode"]).to_dict("list") == again.sort_values(["id", "mode"]).to_dict(
        "list"
    )
    figures = summarise(rows)
    assert figures["a"].n == figures["a_r"].n == 3
    assert compare(rows, again)["a"]["difference"].value == 0


def test_a_figure_that_does_not_exist_is_none_and_not_0(model: Path) -> None:
    rows = evaluate(model, PUZZLE, n=2, max_new_tokens=4)
    assert rows[rows["mode"] == "oracle"]["a_p"].tolist() == [None, None]
    assert summarise(rows[rows["mode"] == "end_to_end"])["a_r"] is None


def test_results_are_loaded_from_a_file_or_its_folder(model: Path, tmp_path: Path) -> None:
    rows = evaluate(model, PUZZLE, n=2, max_new_tokens=4)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows.to_dict("records"), SCHEMA), tmp_path / "results.parquet")
    for where in (tmp_path, tmp_path / "results.parquet"):
        assert load_results(where).to_dict("list") == rows.to_dict("list")
    with pytest.raises(PercasymError, match=r"there is no .*nowhere\.parquet"):
        load_results(tmp_path / "nowhere.parquet")


def test_the_notebook_runs(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib.use("Agg")
    for name, value in {"MODEL": str(model), "ITEMS": "2", "TOKENS": "8"}.items():
        monkeypatch.setenv(name, value)
    notebook = json.loads((ROOT / "docs" / "examples" / "measure.ipynb").read_text())
    space: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), space)
    assert "a_r " in capsys.readouterr().out


def test_the_lines_of_the_readme_run(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for name in ("Qwen/Qwen3-VL-2B-Instruct", "path/to/your/checkpoint"):
        assert name in code
        code = code.replace(name, str(model))
    exec(code.replace("n=200", "n=2, max_new_tokens=4"), {})
    figures, difference, caption = capsys.readouterr().out.splitlines()
    assert figures.count("Estimate(") == 3
    assert "value=0" in difference
    assert caption == "False"


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, percasym; print(sorted({'torch', 'pandas', 'numpy', 'pydantic'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.strip() == "[]"


def test_names_are_told_and_others_are_not_there() -> None:
    assert {"evaluate", "score", "load_results"} <= set(dir(percasym))
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        percasym.guess  # noqa: B018


def test_the_package_is_the_command() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "percasym", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert said.stdout.strip() == percasym.__version__
