"""A vLLM server of one's own: who may ask it."""

from pathlib import Path
from typing import Any

import pytest

from percasym import launch
from percasym.engines import serving
from percasym.engines.config import EngineConfig
from percasym.errors import PercasymError


class Started(Exception):
    """In place of a server."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What servers would have been started with."""
    started: list[dict[str, Any]] = []

    def start(arguments: list[str], **settings: Any) -> None:
        started.append({"arguments": arguments, **settings})
        raise Started

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(serving, "engine_arguments", lambda config, images: {"model": config.model})
    monkeypatch.setattr(serving, "takes_images", lambda model: False)
    monkeypatch.setattr(serving, "vllm_environment", lambda config: {})
    return started


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0"])
def test_a_key_is_in_the_environment_and_not_on_the_command_line(
    host: str, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    config = EngineConfig(model="model", engine="server")
    with pytest.raises(Started), serving.serving(config, host, 8000, tmp_path / "log", key="sesame"):
        pass
    (started,) = asked
    assert started["environment"]["VLLM_API_KEY"] == "sesame"
    assert "sesame" not in str(started["arguments"])


def test_without_one_it_listens_on_loopback_alone(
    asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "of another server")
    config = EngineConfig(model="model", engine="server")
    with pytest.raises(Started), serving.serving(config, "127.0.0.1", 8000, tmp_path / "log"):
        pass
    assert asked[0]["environment"]["VLLM_API_KEY"] == ""
    for host in ("0.0.0.0", "::", "", "10.0.0.1", "0"):
        with pytest.raises(PercasymError, match="lets others in"), serving.serving(config, host, 8000):
            pass
    assert len(asked) == 1
