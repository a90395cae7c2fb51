"""What is asked of a server, and what becomes of its failures: each item once, or one line."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fixtures.local_server import local_server
from fixtures.openai_server import MODEL, Cut, answer, failure, scripted, slow
from PIL import Image

from percasym.engines import Completion, Request, Sampling
from percasym.engines.config import EngineConfig, open_engine
from percasym.errors import PercasymError

IMAGE = Image.new("RGB", (8, 8), "red")
REQUESTS = [Request(f"item {number}", f"question {number}", IMAGE) for number in range(20)]


def ask(
    address: str, requests: list[Request] = REQUESTS, sampling: Sampling | None = None, **settings: Any
) -> dict[str, Completion]:
    config = EngineConfig(**{"model": MODEL, "engine": "server", "server": address, "retries": 3, **settings})
    with open_engine(config) as engine:
        found = list(engine.generate(requests, sampling or Sampling()))
    assert len({completion.id for completion in found}) == len(found)
    return {completion.id: completion for completion in found}


def echo(body: dict[str, Any], number: int = 0) -> Any:
    """Says the question again."""
    content = body["messages"][0]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    return answer(f"{text} </answer>")


def test_what_a_request_says() -> None:
    bodies: list[dict[str, Any]] = []

    def reply(body: dict[str, Any], number: int) -> Any:
        bodies.append(body)
        return echo(body)

    with scripted(reply) as address:
        request = Request("x", "what", IMAGE, "<caption> a1 1 </caption>")
        found = ask(address, [request], Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=1))
        ask(address, [request], Sampling(seed=2))
        ask(address, [Request("text", "what", None)])
    body = bodies[0]
    assert found["x"].text == "what </answer>"
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 7)
    # whatever the checkpoint's generation_config asks for
    assert (body["repetition_penalty"], body["top_k"], body["min_p"]) == (1.0, -1, 0.0)
    user, begun = body["messages"]
    sent = base64.b64decode(user["content"][0]["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(sent)).tobytes() == IMAGE.tobytes()
    assert begun == {"role": "assistant", "content": "<caption> a1 1 </caption>"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert body["seed"] != bodies[1]["seed"]
    assert bodies[2]["messages"] == [{"role": "user", "content": "what"}]
    assert "continue_final_message" not in bodies[2]


@pytest.mark.parametrize(
    ("replied", "text", "reason"),
    [
        (answer("so <answer> 1 </answer>"), "so <answer> 1 </answer>", "stop"),
        (answer("so <answer> 1 </answer> and on and on", "length"), "so <answer> 1 </answer>", "stop"),
        (answer("so on", "length"), "so on", "length"),
        (answer("</answer>", reasoning="I see"), "<think>I see</think></answer>", "stop"),
        (answer("", "length", reasoning="I see </answer>"), "<think>I see </answer>", "length"),
        (answer("so </answer>", reasoning="a </answer>"), "<think>a </answer></think>so </answer>", "stop"),
        (answer("a </answer></think> so </answer> on"), "a </answer></think> so </answer>", "stop"),
        (answer("<think> a </answer> </think> so"), "<think> a </answer> </think> so", "stop"),
        (answer("</answer>", reasoning_content="I see"), "<think>I see</think></answer>", "stop"),
    ],
)
def test_what_a_completion_is(replied: Any, text: str, reason: str) -> None:
    with scripted(lambda body, number: replied) as address:
        found = ask(address, REQUESTS[:1])["item 0"]
    assert (found.text, found.finish_reason) == (text, reason)
    assert found.tokens == replied["usage"]["completion_tokens"]


@pytest.mark.parametrize("trouble", [failure(500), failure(503), failure(429, Retry_After="0"), failure(408)])
def test_a_server_that_fails_now_and_then_is_asked_again(trouble: Any) -> None:
    failed: set[str] = set()

    def reply(body: dict[str, Any], number: int) -> Any:
        text = body["messages"][0]["content"][-1]["text"]
        if number % 3 == 0 and text not in failed:
            failed.add(text)
            return trouble
        return echo(body)

    with scripted(reply) as address:
        found = ask(address)
    assert {id: completion.text for id, completion in found.items()} == {
        request.id: f"{request.query} </answer>" for request in REQUESTS
    }
    assert failed


def test_a_server_that_breaks_off_or_is_slow_is_asked_again() -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        if number == 0:
            raise Cut
        return slow(3, echo(body)) if number == 1 else echo(body)

    with scripted(reply) as address:
        found = ask(address, patience=1)
    assert set(found) == {request.id for request in REQUESTS}


def test_only_so_many_requests_at_a_time() -> None:
    lock = threading.Lock()
    now = most = 0

    def reply(body: dict[str, Any], number: int) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        replied = slow(0.05, echo(body))
        with lock:
            now -= 1
        return replied

    with scripted(reply) as address:
        ask(address, batch_size=3)
    assert most == 3


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda body, number: failure(500), r"fails with 500: .*trouble 500"),
        (lambda body, number: failure(400), r"refuses a request with 400: .*trouble 400"),
        (lambda body, number: failure(404), "has nothing there, or no model scripted"),
        (lambda body, number: (200, b"not JSON", {"Content_Type": "application/json"}), "OpenAI's protocol"),
    ],
)
def test_a_server_that_fails_for_good_is_one_line(reply: Any, words: str) -> None:
    with scripted(reply) as address, pytest.raises(PercasymError, match=words) as error:
        ask(address, retries=1)
    assert "\n" not in str(error.value)


def test_what_came_before_a_failure_is_kept() -> None:
    with scripted(lambda body, number: echo(body) if number < 5 else failure(400)) as address:
        config = EngineConfig(model=MODEL, engine="server", server=address, retries=0, batch_size=1)
        found = []
        with open_engine(config) as engine, pytest.raises(PercasymError):  # noqa: PT012 - what came first
            for completion in engine.generate(REQUESTS, Sampling()):
                found.append(completion.id)
    assert found == [request.id for request in REQUESTS[:5]]


def test_half_a_pair_of_surrogates_is_no_text(tmp_path: Path) -> None:
    with scripted(lambda body, number: answer("one \ud83d two \ud83d\ude00 three \ude00")) as address:
        found = ask(address, [Request("x", "what", None)], Sampling(stop=""))
    assert found["x"].text == "one \ufffd two \U0001f600 three \ufffd"


def test_a_key_is_taken_from_the_environment_and_never_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted(echo, key="sesame") as address:
        monkeypatch.setenv("PERCASYM_API_KEY", "open-wheat")
        monkeypatch.setenv("OPENAI_API_KEY", "sesame")  # meant for somebody else
        with pytest.raises(PercasymError, match="refuses the key: set PERCASYM_API_KEY") as error:
            ask(address)
        assert "wheat" not in str(error.value)
        monkeypatch.setenv("PERCASYM_API_KEY", "sesame")
        assert len(ask(address)) == len(REQUESTS)
    assert "sesame" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_neither_a_request_nor_the_key_follows_to_another_host(
    status: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCASYM_API_KEY", "sesame")
    stolen: list[str] = []

    class Thief(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

        def do_GET(self) -> None:
            stolen.append(str(self.headers))

        do_POST = do_GET

    with local_server(Thief) as elsewhere:

        def reply(body: dict[str, Any], number: int) -> Any:
            return status, {}, {"Location": f"{elsewhere}/v1/chat/completions"}

        with (
            scripted(reply, models=reply if method == "GET" else None) as address,
            pytest.raises(PercasymError, match=f"sends requests on to '{elsewhere}") as error,
        ):
            ask(address, retries=0)
    assert not stolen
    assert "sesame" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_server_of_ours_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCASYM_API_KEY", "sesame")
    config = EngineConfig(model=MODEL, engine="server", retries=0)
    with scripted(echo, key="sesame") as address:
        named = config.model_copy(update={"server": address})
        with open_engine(named) as engine:
            assert len(list(engine.generate(REQUESTS[:1], Sampling()))) == 1
        with pytest.raises(PercasymError, match="refuses the key"), open_engine(named, own=True):
            pass

        @contextmanager
        def started(config: EngineConfig) -> Iterator[str]:
            yield address

        monkeypatch.setattr("percasym.engines.serving.serving", started)
        with pytest.raises(PercasymError, match="refuses the key"), open_engine(config):
            pass


def test_an_unknown_model_and_an_unreachable_server() -> None:
    with scripted(echo) as address, pytest.raises(PercasymError, match="no model other: it has scripted"):
        ask(address, model="other")
    with pytest.raises(PercasymError, match="cannot be reached"):
        ask(address, retries=0)


def test_a_server_that_only_speaks_the_plain_protocol() -> None:
    bodies = []

    def reply(body: dict[str, Any], number: int) -> Any:
        bodies.append(body)
        return echo(body)

    with scripted(reply, owner="somebody") as address:
        assert ask(address, REQUESTS[:1])["item 0"].text == "question 0 </answer>"
        assert "stop" not in bodies[0]  # it would leave the stop text out, and not say whether it was there
        assert not {"include_stop_str_in_output", "repetition_penalty", "top_k", "min_p"} & set(bodies[0])
        with pytest.raises(PercasymError, match="cannot go on with a turn"):
            ask(address, [Request("x", "what", IMAGE, "<caption>")])


def test_no_stop_text_is_sent_to_a_model_that_thinks() -> None:
    """Nor before it is known whether it does."""
    stops: list[bool] = []

    def reply(body: dict[str, Any], number: int) -> Any:
        stops.append("stop" in body)
        query = body["messages"][0]["content"][-1]["text"]
        if not query.endswith("3"):
            return answer("<answer> 1 </answer>")
        return answer("<think> <answer> </answer>" + " </think> <answer> 3 </answer>" * ("stop" not in body))

    with scripted(reply) as address:
        found = ask(address, REQUESTS[:6], batch_size=1)
    assert found["item 2"].text == "<answer> 1 </answer>"
    assert found["item 3"].text == "<think> <answer> </answer> </think> <answer> 3 </answer>"
    #                one item a request, but for the fourth: its stop text was named in a thought
    assert stops == [False, True, True, True, False, False, False]


def test_what_is_cut_off_does_not_tell_that_a_model_does_not_think() -> None:
    stops = []

    def reply(body: dict[str, Any], number: int) -> Any:
        stops.append("stop" in body)
        return answer("so on and on", "length")

    with scripted(reply) as address:
        ask(address, REQUESTS[:3], batch_size=1)
    assert stops == [False, False, False]


def test_in_a_turn_that_is_begun_thoughts_are_over() -> None:
    """A parser of thoughts that finds no end takes all for thoughts."""
    reply = answer("", reasoning="so <answer> 1 </answer>")
    with scripted(lambda body, number: reply) as address:
        request = Request("x", "what", IMAGE, "<caption> a1 1 </caption>")
        assert ask(address, [request])["x"].text == "so <answer> 1 </answer>"
        assert ask(address, REQUESTS[:1])["item 0"].text == "<think>so <answer> 1 </answer>"


def test_logits_that_are_not_finite() -> None:
    """vLLM's server shows it when it is asked for log-probabilities, as it is at first."""
    asked: list[bool] = []

    def reply(body: dict[str, Any], number: int) -> Any:
        asked.append("logprobs" in body)
        return failure(400, text="Out of range float values are not JSON compliant: nan")

    with (
        scripted(reply) as address,
        pytest.raises(PercasymError, match="logits of scripted are not finite") as error,
    ):
        ask(address)
    assert all(asked)
    assert "\n" not in str(error.value)


def test_addresses() -> None:
    with pytest.raises(ValueError, match="no passwords"):
        EngineConfig(model="x", engine="server", server="http://me:secret@host/v1")
    with pytest.raises(ValueError, match="engine=server"):
        EngineConfig(model="x", server="http://host/v1")


def test_an_evaluation_goes_on_where_a_server_died(tmp_path: Path) -> None:
    """Through the command's own path: every item once in each mode, over two starts."""
    from percasym.datasets import generate_rows, write_dataset
    from percasym.evaluation import EvaluationConfig, run
    from percasym.puzzles import load_puzzle

    puzzle = load_puzzle("sudoku", {"rows": 2, "cols": 2, "text": "cells", "side": 64})
    write_dataset(tmp_path / "data", {"test": generate_rows(puzzle, "test", 0, 10)})
    asked: list[str] = []

    def reply(body: dict[str, Any], number: int) -> Any:
        if len(asked) == 7:
            return failure(500)
        asked.append(json.dumps(body["messages"][1:]) + str(number))
        return answer("<answer> a1 1 </answer>")

    def evaluate(address: str) -> None:
        settings = {"model": MODEL, "engine": "server", "server": address, "retries": 0, "batch_size": 1}
        config = {"dataset": str(tmp_path / "data"), "out": tmp_path / "out"}
        list(run(EvaluationConfig(**settings, **config)))

    with scripted(reply) as address:
        with pytest.raises(PercasymError, match="fails with 500"):
            evaluate(address)
        kept = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
        assert len(kept) == 7
    asked.append("the server is well again")
    with scripted(reply) as address:  # somewhere else
        evaluate(address)
        evaluate(address)  # is finished
    assert len(asked) == 1 + 20
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["a"]["n"] == 10
