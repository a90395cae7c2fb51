"""What a form may name: each kind of name, and every setting that holds one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from percasym.allowed import (
    VARIABLE,
    Names,
    NotAllowed,
    allow,
    check,
    check_artifact,
    check_path,
    check_settings,
    confined,
)
from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.extensions import load_class, load_function
from percasym.presets import PRESETS, load_preset


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def refused(call: Callable[[], object]) -> bool:
    """Whether a form may not do this; one line says why."""
    with confined():
        try:
            call()
        except NotAllowed as error:
            return "\n" not in str(error) and "percasym up --allow" in str(error)
    return False


def holds_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return False
    return kind in (str, Any, object) or any(map(holds_text, get_args(kind)))


def test_every_setting_that_holds_text_says_what_it_names() -> None:
    for name, field in StudyConfig.model_fields.items():
        said = [one for one in field.metadata if isinstance(one, Names)]
        assert len(said) == holds_text(field.annotation), name


def test_a_setting_that_does_not_say_it_cannot_be_set_in_a_form() -> None:
    class Later(BaseModel):
        count: int = 1
        kind: Literal["a", "b"] = "a"
        place: str = ""
        places: dict[str, str] = {}

    check_settings(Later(place="/etc/passwd"))  # no form
    with confined():
        check_settings(Later(count=2, kind="b"))
        for later in (Later(place="x"), Later(places={"a": "x"})):
            with pytest.raises(NotAllowed, match=r"place.* cannot be set in a form"):
                check_settings(later)


def test_presets_name_nothing_that_has_to_be_allowed() -> None:
    with confined():
        assert [load_preset(name).name for name in PRESETS] == list(PRESETS)


def test_paths_are_those_that_they_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "inside-not"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").touch()
    (inside / "link").symlink_to(outside / "file")
    (tmp_path / "entry").symlink_to(inside)
    assert refused(lambda: check_path(inside / "file"))
    allow([str(tmp_path / "entry")])
    monkeypatch.chdir(inside)
    for path in (inside, inside / "file", inside / "new", "file", "../entry/file"):
        assert not refused(lambda path=path: check_path(path)), path
    for path in (
        *(outside / "file", inside / "link", inside / ".." / "inside-not" / "file", "../inside-not", "link"),
        *("/", "~", "\0", tmp_path),
    ):
        assert refused(lambda path=path: check_path(path)), path


@pytest.mark.parametrize("name", ["Qwen/Qwen3-VL-2B-Instruct", "gpt2", "mini@best", "qwen3:32b"])
def test_ids_and_registered_models_are_free(name: str) -> None:
    assert not refused(lambda: check(Names.MODEL, name))


def test_a_folder_that_looks_like_an_id_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("owner/name", "mini@best", "gpt2"):
        assert not refused(lambda name=name: check(Names.MODEL, name))
        (tmp_path / name).mkdir(parents=True)
        assert refused(lambda name=name: check(Names.MODEL, name))
    for name in (str(tmp_path), "/no/such", "../x", "a/../b", "~/x", "./x", "a//b", "x\n", "file:///etc"):
        assert refused(lambda name=name: check(Names.MODEL, name)), name
    allow([str(tmp_path)])
    assert not refused(lambda: check(Names.MODEL, "owner/name"))


def test_addresses_are_told_by_scheme_host_and_port() -> None:
    allow(["http://host:8000", "https://api.example.com/v1", "http://[::1]:9"])
    for address in (
        *("http://host:8000/v1", "HTTP://HOST:8000", "https://api.example.com:443/v1", "http://[::1]:9/v1"),
        "https://api.example.com",
    ):
        assert not refused(lambda address=address: check(Names.ADDRESS, address)), address
    for address in (
        *("http://host/v1", "https://host:8000/v1", "http://other:8000/v1", "http://host:80001"),
        *("http://host:8000@evil/v1", "http://evil#@host:8000", "http://evil\\@host:8000", "host:8000"),
        *("http://host:8000\n.evil", "http://host:8000?x=@evil", "//host:8000", "ftp://host:8000"),
        *("http://169.254.169.254/latest", "http://127.0.0.1:4200/api", "http://api.example.com"),
    ):
        assert refused(lambda address=address: check(Names.ADDRESS, address)), address


def test_an_override_is_allowed_word_for_word() -> None:
    allow(["trainer.save_freq=5"])
    assert not refused(lambda: check(Names.OVERRIDE, "trainer.save_freq=5"))
    for override in (
        *("trainer.save_freq=50", "trainer.save_freq=", "+trainer.save_freq=5", " trainer.save_freq=5"),
        *(
            "actor_rollout_ref.model.trust_remote_code=true",
            "actor_rollout_ref.model.external_lib=antigravity",
        ),
        *("hydra.run.dir=/", "--config-dir=/tmp", "reward.custom_reward_function.path=/tmp/x.py"),
    ):
        assert refused(lambda override=override: check(Names.OVERRIDE, override)), override


def test_artifacts_are_where_percasym_keeps_them(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    assert not refused(lambda: check_artifact(f"{root}/run/model", str(root)))
    assert not refused(lambda: check_artifact("s3://bucket/percasym/run", "s3://bucket/percasym"))
    for place in (f"{root}/link", f"{root}/../other", "/etc", "s3://bucket/run", "https://evil/model"):
        assert refused(lambda place=place: check_artifact(place, str(root))), place
    for place in (
        "s3://bucket/percasym-not/run",
        "s3://bucket/percasym/../x",
        "s3://other/percasym/x",
        "/etc",
    ):
        assert refused(lambda place=place: check_artifact(place, "s3://bucket/percasym")), place
    allow(["s3://bucket", str(tmp_path / "artifacts" / "link")])
    assert not refused(lambda: check_artifact("s3://bucket/run", str(root)))
    assert not refused(lambda: check_artifact("/etc/model", str(root)))


def test_code_is_refused_where_it_would_be_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine(dict): pass\ndef f(): pass\n")
    assert refused(lambda: load_class(f"{file}:Mine", dict))
    assert refused(lambda: load_function(f"{file}:f"))
    assert not (tmp_path / "ran").exists()
    allow([str(file)])
    assert not refused(lambda: load_class(f"{file}:Mine", dict))
    assert (tmp_path / "ran").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "")
        assert refused(lambda: load_function(f"{file}:f"))  # though it is loaded already
        load_function(f"{file}:f")  # no form


def test_what_cannot_be_allowed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    for name, says in (
        (str(tmp_path / "missing"), "no such file or folder"),
        (f"{tmp_path}/a,b", "no commas"),
    ):
        with pytest.raises(PercasymError, match=says):
            allow([name])
