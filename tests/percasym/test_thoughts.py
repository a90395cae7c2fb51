"""A model that thinks and is right on every item scores so, wherever it thinks, whatever thoughts name."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures.command import call
from fixtures.openai_server import MODEL, answer, scripted

from percasym.datasets import generate_rows, iter_split, write_dataset
from percasym.judgement import read_response, score
from percasym.puzzles import Puzzle, load_puzzle, load_spec
from percasym.response import compose

QUOTES = (
    "I have to write the grid between <caption> and </caption>, and the solved one between <answer> and "
    "</answer>. Say <caption> 1 2 </caption> and <answer> 1 2 3 4 </answer>? No. Row by row ..."
)
PROSE = "I write what I see between <caption> and </caption>, then between <answer> and </answer>.\n"
PUZZLES = {
    "sudoku": {"rows": 2, "cols": 2, "side": 64},
    "graph_coloring": {"vertices_low": 4, "vertices_high": 5, "side": 128},
}


@pytest.fixture(params=PUZZLES)
def puzzle(request: pytest.FixtureRequest) -> Puzzle[Any]:
    return load_puzzle(request.param, PUZZLES[request.param])


@pytest.fixture
def data(puzzle: Puzzle[Any], tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data", {"test": generate_rows(puzzle, "test", 0, 6)})
    return tmp_path / "data"


@pytest.mark.parametrize("place", ["reasoning", "reasoning_content", "inline", "lone"])
def test_a_server_whose_model_thinks(
    place: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the field of a reasoning parser, of an older one, between tags, or begun by the prompt."""
    items = {}
    for row in iter_split(data, "test"):
        puzzle = load_spec(row["puzzle"])
        instance = puzzle.read_ground_truth(row["ground_truth"])
        items[row["image"]] = compose(row["perception"], "So", puzzle.answer(instance)), row["perception"]

    def reply(body: dict[str, Any], number: int) -> Any:
        sent = body["messages"][0]["content"][0]["image_url"]["url"].removeprefix("data:image/png;base64,")
        said, caption = items[base64.b64decode(sent)]
        if body["messages"][-1]["role"] == "assistant":
            assert caption in body["messages"][-1]["content"]
            # Behind a caption templates close the thought; and such a turn comes soon, the others late.
            return answer(said.partition("</caption>")[2])
        time.sleep(0.2 * (number < 4))
        match place:
            case "inline":
                said = f"<think>\n{QUOTES}\n</think>\n\n{said}"
            case "lone":
                said = f"{QUOTES}\n</think>\n\n{said}"
            case field:
                return answer(said, **{field: QUOTES})
        for stop in body.get("stop", []):  # as a server does
            said = "".join(said.partition(stop)[:2])
        return answer(said)

    with scripted(reply) as address:
        options = ("--out", tmp_path / "out", "--server", address, "--batch-size", "2")
        code, _, error = call(capfd, "evaluate", MODEL, data, *options)
    assert code == 0, error
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [summary[name]["value"] for name in ("a", "a_p", "a_r", "a_own", "format")] == [1.0] * 5


@pytest.mark.parametrize("thought", [f"{QUOTES}\n</think>\n\n", f"<think>{QUOTES}</think>", PROSE])
def test_what_is_thought_or_quoted_is_no_description(
    thought: str, puzzle: Puzzle[Any], data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The last one is prose: what stands between its tags cannot be read."""
    lines = []
    for row in iter_split(data, "test"):
        instance = puzzle.read_ground_truth(row["ground_truth"])
        text = thought + compose(row["perception"], "so", puzzle.answer(instance))
        lines.append(json.dumps({"id": row["id"], "response": text}))
        judged = score(puzzle, instance, text)
        assert (judged.a, judged.a_p, judged.a_own, judged.complete) == (True, True, True, True)
        assert read_response(puzzle, instance, text).caption == row["perception"]
        assert score(puzzle, instance, f"<think> {text.replace('</think>', '')}").complete is False
    (tmp_path / "responses.jsonl").write_text("\n".join(lines))
    code, printed, error = call(capfd, "score", data, tmp_path / "responses.jsonl", "--json")
    assert code == 0, error
    summary = json.loads(printed)
    assert [summary[name]["value"] for name in ("a", "a_p", "a_own")] == [1.0] * 3


def test_of_several_descriptions_the_best_is_not_picked(puzzle: Puzzle[Any]) -> None:
    right, other = (puzzle.item("test", 0, number).instance for number in (0, 1))
    text = " ".join(f"<caption> {puzzle.perception(instance)} </caption>" for instance in (other, right))
    assert not score(puzzle, right, text).a_p
