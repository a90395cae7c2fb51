"""The command line: forms that are a contract, and one line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from fixtures.command import call

from percasym.config import StudyConfig
from percasym.presets import PRESETS, preset_text
from percasym.values import field_type, load_texts, read_value

SMALL = ["--set", "rows=2", "--set", "cols=2", "--set", "side=64", "--set", "text=cells"]

FAILING = """
def nan(group):
    return [float("nan")] * len(group.responses)

def broken(group):
    return 1 / 0
"""


@pytest.fixture
def data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    code, _, err = call(
        capfd,
        "generate",
        "--puzzle",
        "sudoku",
        "--split",
        "test",
        "--n",
        "6",
        "--out",
        tmp_path / "data",
        *SMALL,
    )
    assert code == 0, err
    return tmp_path / "data"


def responses(data: Path, path: Path, right: int, mode: str = "end_to_end") -> Path:
    from percasym.datasets import iter_split
    from percasym.puzzles import load_spec
    from percasym.response import compose

    with path.open("a") as file:
        for number, row in enumerate(iter_split(data, "test")):
            puzzle = load_spec(row["puzzle"])
            instance = puzzle.read_ground_truth(row["ground_truth"])
            answer = puzzle.answer(instance) if number < right else "a1 1"
            text = compose(puzzle.perception(instance), "so", answer)
            file.write(json.dumps({"id": row["id"], "response": text, "mode": mode}) + "\n")
    return path


def test_nothing_heavy_is_imported_for_help() -> None:
    program = (
        "import sys, flows.cli\n"
        "heavy = {'torch', 'transformers', 'datasets', 'prefect', 'mlflow', 'numpy', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


@pytest.mark.parametrize(
    "command",
    [
        *("study", "sweep", "report", "presets", "schema", "generate", "import", "export"),
        *("evaluate", "adopt", "serve", "score", "coupling", "audit-surrogates", "up", "reevaluate"),
        *("compare", "gallery", "runs", "gc", "doctor", "backup", "restore"),
    ],
)
def test_every_command_has_help(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capfd, command, "--help")
    assert code == 0
    assert "Usage" in out


def test_no_command_shows_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capfd)
    assert code == 0
    assert "study" in out


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    from percasym import __version__

    assert call(capfd, "--version") == (0, f"{__version__}\n", "")


def test_a_data_set_is_written_and_read_by_datasets(data: Path, tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(data), cache_dir=str(tmp_path / "cache"))
    assert loaded["test"].num_rows == 6
    assert loaded["test"][0]["image"].size == (64, 64)


def test_scores_as_json_are_all_that_is_printed(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = responses(data, tmp_path / "a.jsonl", 4)
    code, out, _ = call(capfd, "score", data, path, "--split", "test", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["a"]["value"] == pytest.approx(4 / 6)
    assert found["a"]["n"] == 6
    assert set(found["a"]) == {"value", "low", "high", "n"}
    assert found["a_p"]["value"] == 1
    assert found["a_r"] is None
    assert found["causes"]["reasoning"] == 2


def test_two_models_are_compared(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = responses(data, responses(data, tmp_path / "a.jsonl", 2), 3, "oracle")
    two = responses(data, tmp_path / "b.jsonl", 5)
    code, out, _ = call(capfd, "score", data, one, "--model-b", two, "--json")
    assert code == 0
    assert json.loads(out)["comparison"]["a"]["difference"]["value"] == pytest.approx(0.5)
    code, out, _ = call(capfd, "score", data, one, "--model-b", two)
    assert code == 0
    assert "50.0" in out


def test_the_coupling_of_grouped_responses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rollouts.jsonl"
    outcomes = [(1, 1, 1), (0, 1, 0), (0, 0, 1), (0, 0, 0)]
    lines = [{"id": str(n % 3), "a": a, "a_p": p, "a_own": o} for n, (a, p, o) in enumerate(outcomes * 6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = call(capfd, "coupling", path, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["a_p"]["pooled"]["value"] == pytest.approx(1 / 3**0.5)
    assert (found["groups"], found["rollouts"]) == (3, 24)
    code, out, _ = call(capfd, "coupling", path)
    assert code == 0
    assert "0.58" in out


def test_surrogates_are_audited(talker: Path, dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["audit-surrogates", talker, dataset, "--items", "2", "--group-size", "2"]
    command += ["--max-new-tokens", "40", "--surrogates", "agreement,well_formed"]
    code, out, err = call(capfd, *command, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert set(found) == {"surrogates", "right", "groups", "rollouts"}
    assert set(found["surrogates"]) == {"agreement", "well_formed"}
    code, out, _ = call(capfd, *command)
    assert code == 0
    assert "well_formed" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--split", "tset"], "tset"),
        (["--surrogates", "wishes"], "wishes"),
        (["--surrogates", "teacher"], "wants a teacher"),
        (["--surrogates", "own.py:nan"], "nan"),
        (["--surrogates", "own.py:broken"], "ZeroDivisionError"),
        (["--surrogates", "nowhere.py:f"], "nowhere.py"),
        (["--teacher", "nowhere"], "nowhere"),
        (["--group-size", "1"], "--group-size"),
    ],
)
def test_a_mistake_in_an_audit_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    talker: Path,
    dataset: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(FAILING)
    command = [
        "audit-surrogates",
        talker,
        dataset,
        "--items",
        "1",
        "--group-size",
        "2",
        "--max-new-tokens",
        "8",
    ]
    code, out, err = call(capfd, *command, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_presets_are_listed_and_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capfd, "presets")
    assert [line.split()[0] for line in out.splitlines()] == ["tiny", "mini", "gpu-mini", "paper"]
    _, out, _ = call(capfd, "presets", "mini")
    (tmp_path / "mine.yaml").write_text(out)
    code, _, err = call(capfd, "study", "--preset", tmp_path / "mine.yaml", "--set", "sft.steps=0")
    assert (code, err.count("\n")) == (2, 1)


def test_presets_keep_to_the_schema_and_others_do_not(capfd: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(call(capfd, "schema")[1])
    for preset in PRESETS:
        texts = load_texts(preset_text(preset))
        fields = {key: read_value(text, field_type(StudyConfig, key)) for key, text in texts.items()}
        jsonschema.validate(fields, schema)
    jsonschema.validate({"sft_steps": 3}, schema)
    for wrong in ({"sft": {"step": 3}}, {"sft": {"steps": 0}}, {"optimiser": "adamw"}, {"sft": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "--set", "sft.steps=0"], "sft.steps=0"),
        (["study", "--set", "sft_steps=0"], "sft.steps=0"),
        (["study", "--set", "sft_stops=1"], "sft_stops"),
        (["study", "--set", "arms=adam"], "adam"),
        (["study", "--set", "seed"], "field=value"),
        (["study", "--seed", "-1"], "seed=-1"),
        (["study", "--preset", "maxi"], "maxi"),
        (["study", "--set", "puzzle_options.rows=99"], "rows"),
        (["sweep", "--lam", "0.1,much"], "0.1,much"),
        (["sweep", "--lam", "1.5"], "between 0 and 1"),
        (["generate", "--puzzle", "chess", "--out", "x"], "chess"),
        (["generate", "--split", "tset", "--out", "x"], "tset"),
        (["generate", "--set", "rows=99", "--out", "x"], "rows"),
        (["score", "nowhere", "nothing.jsonl"], "nowhere"),
        (["report", "mini", "--home", "nowhere"], "nowhere"),
        (["coupling", "nowhere.jsonl"], "nowhere.jsonl"),
        (["audit-surrogates", "nowhere", "neither"], "neither"),
        (["study", "--set", "rl_arms=fun"], "fun"),
        (["study", "--set", "rl_arms=perception_aware:2"], "alpha from 0 to 1"),
        (["study", "--set", "rl_arms=outcome", "--set", "rl_from=dwa"], "rl_from=dwa"),
        (["study", "--set", "grpo.group_size=1"], "grpo.group_size=1"),
        (["studdy"], "studdy"),
        (["score"], "data"),
        (["generate", "--n", "few", "--out", "x"], "--n"),
        (["study", "--hom", "x"], "--hom"),
        (["study", "--home", "a ?x=y"], "cannot keep studies"),
        (["report", "mini", "--home", "a%20b"], "cannot keep studies"),
        (["study", "--set", "name=.."], "name='..'"),
        (["study", "--set", "name=-x"], "name='-x'"),
        (["study", "--set", "model=/data/run, 2/ckpt"], "model='/data/run, 2/ckpt': there is no such folder"),
        (["study", "--set", "teacher=./Qwen"], "teacher='./Qwen': there is no such folder"),
        (
            ["study", "--set", "teacher_prompt=prompts/x #1.txt"],
            "teacher_prompt='prompts/x #1.txt': there is",
        ),
        (["study", "--set", "thinking=of"], "thinking='of'"),
        (["study", "--set", "system_prompt=a, b: c # d"], "system_prompt, min_pixels"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERCASYM_HOME", raising=False)
    code, out, err = call(capfd, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bug_keeps_its_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("percasym.presets.preset_text", broken)
    with pytest.raises(ZeroDivisionError):
        call(capfd, "presets", "mini")


def test_a_full_disk_is_told_in_whatever_words_it_comes(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> str:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RuntimeError("cannot store") from error

    monkeypatch.setattr("percasym.presets.preset_text", full)
    code, _, err = call(capfd, "presets", "mini")
    assert code == 2
    assert err.startswith("error: the disk is full")
    assert err.count("\n") == 1
