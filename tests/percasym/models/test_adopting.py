"""What is chosen is written into the checkpoint, and nothing else about it changes."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fixtures.architectures import ARCHITECTURES, INTERNVL, QWEN2_5_VL, QWEN3_VL, THINKING
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import ProcessorMixin

from percasym.errors import PercasymError
from percasym.models import load, load_processor
from percasym.models.adopting import adopt, main, with_choices
from percasym.models.prompting import Sample, encode, prompt_text

NASTY = "Say \"yes\"\\n or 'no'.\n\n{{ messages }} {% endif %} {#- percasym: system #} ünï 🙂 \\u0041"
QUESTION = {"role": "user", "content": "Why?"}


def render(processor: ProcessorMixin, messages: Sequence[dict[str, Any]], **more: Any) -> str:
    """The tokenizer takes whatever a template may know."""
    text: str = processor.tokenizer.apply_chat_template(
        list(messages), chat_template=processor.chat_template, tokenize=False, **more
    )
    return text


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def as_released(folder: Path, out: Path, limits: dict[str, Any]) -> Path:
    """The same checkpoint in the files of transformers 4: the processor in parts, its template in JSON."""
    shutil.copytree(folder, out)
    config = json.loads((out / "processor_config.json").read_text())
    images = {**config.pop("image_processor"), "processor_class": config["processor_class"]}
    if limits:
        del images["size"]
    (out / "preprocessor_config.json").write_text(json.dumps({**images, **limits}))
    (out / "video_preprocessor_config.json").write_text(json.dumps(config.pop("video_processor")))
    template = (out / "chat_template.jinja").read_text()
    (out / "chat_template.jinja").unlink()
    (out / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    settings = json.loads((out / "tokenizer_config.json").read_text())
    (out / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    if config.keys() <= {"processor_class"}:
        (out / "processor_config.json").unlink()
    else:
        (out / "processor_config.json").write_text(json.dumps(config))
    return out


@pytest.fixture(scope="module")
def thinking(released: Callable[[str], Path]) -> Path:
    return released("thinking")


@pytest.fixture(scope="module")
def writer(thinking: Path) -> ProcessorMixin:
    return load_processor(thinking)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("system", ["Be brief.", NASTY])
def test_a_conversation_without_system_turn_gets_ours(
    name: str, system: str, released: Callable[[str], Path], tmp_path: Path
) -> None:
    before = load_processor(released(name))
    after = load_processor(adopt(released(name), tmp_path / "out", system=system))
    turn = f"<|im_start|>system\n{system}<|im_end|>\n"
    for content in ("Why?", [{"type": "image"}, {"type": "text", "text": "Why?"}]):
        question = {"role": "user", "content": content}
        own = render(before, [question]).removeprefix(
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        )
        assert render(after, [question]) == turn + own
        for theirs in ("Rhyme.", [{"type": "text", "text": "Rhyme."}]):
            asked = [{"role": "system", "content": theirs}, question]
            assert render(after, asked) == render(before, asked)
    assert after.tokenizer.chat_template == after.chat_template
    assert prompt_text(after, "Why?", True).startswith(turn)


@pytest.mark.parametrize("in_parts", [True, False])
def test_the_system_turn_has_the_form_that_the_template_reads(writer: ProcessorMixin, in_parts: bool) -> None:
    system = (
        "{% for part in message.content %}{{ part.text }}{% endfor %}"
        if in_parts
        else "{{ message.content }}"
    )
    user = "{% if message.content is string %}{{ message.content }}{% endif %}"
    turns = f"{{% if message.role == 'system' %}}{system}{{% else %}}{user}{{% endif %}}"
    writer.chat_template = f"{{% for message in messages %}}{turns};{{% endfor %}}"
    writer.chat_template = with_choices(writer, NASTY, "")
    assert render(writer, [QUESTION]) == f"{NASTY};Why?;"


@given(st.text(min_size=1))
@settings(max_examples=100)
def test_any_system_prompt_comes_out_as_it_went_in(writer: ProcessorMixin, system: str) -> None:
    writer.chat_template = QWEN3_VL
    own = render(writer, [QUESTION])
    writer.chat_template = with_choices(writer, system, "")
    assert render(writer, [QUESTION]) == f"<|im_start|>system\n{system}<|im_end|>\n{own}"


@given(st.text(st.sampled_from(" \n{}%#-x"), max_size=6))
@settings(max_examples=100)
def test_our_lines_write_nothing_themselves(writer: ProcessorMixin, beginning: str) -> None:
    writer.chat_template = (
        f"{beginning}{{% for m in messages %}}{{{{ m }}}}{{% endfor %}}{{{{ enable_thinking }}}}"
    )
    asked = [{"role": "system", "content": "Rhyme."}, QUESTION]
    try:
        own = render(writer, asked, enable_thinking=True)
    except Exception:  # no template
        return
    writer.chat_template = with_choices(writer, "Be brief.", "off")
    assert render(writer, asked, enable_thinking=True) == own


def test_thinking_is_what_was_chosen_unless_the_caller_says_so(thinking: Path, tmp_path: Path) -> None:
    silent = "<think>\n\n</think>\n\n"
    on = load_processor(adopt(thinking, tmp_path / "on", thinking="on"))
    off = load_processor(adopt(thinking, tmp_path / "off", thinking="off"))
    assert silent not in prompt_text(on, "Why?", True)
    assert prompt_text(off, "Why?", True) == prompt_text(on, "Why?", True) + silent
    spoken = {"add_generation_prompt": True, "enable_thinking": True}
    assert render(off, [QUESTION], **spoken) == render(on, [QUESTION], **spoken)


def test_what_is_not_chosen_stays_also_when_adopted_again(thinking: Path, tmp_path: Path) -> None:
    once = adopt(thinking, tmp_path / "1", system="Be brief.", min_pixels=2048)
    more = adopt(once, tmp_path / "2", thinking="off", max_pixels=8192)
    other = adopt(more, tmp_path / "3", system="Rhyme.")
    at_once = {"system": "Rhyme.", "thinking": "off", "min_pixels": 2048, "max_pixels": 8192}
    assert files(other) == files(adopt(thinking, tmp_path / "4", **at_once))  # type: ignore[arg-type]
    assert files(adopt(other, tmp_path / "5", **at_once)) == files(other)  # type: ignore[arg-type]
    processor = load_processor(other)
    assert processor.chat_template.count("#- percasym") == 2
    assert processor.chat_template.endswith(THINKING)


@pytest.mark.parametrize("name", ["qwen3_vl", "qwen2_5_vl"])
def test_pixel_limits_of_qwen(name: str, released: Callable[[str], Path], tmp_path: Path) -> None:
    out = adopt(released(name), tmp_path / "out", min_pixels=64 * 64, max_pixels=96 * 96)
    assert areas(load_processor(out), [(16, 16), (80, 80), (400, 400)]) == [64 * 64, 80 * 80, 96 * 96]


def test_pixel_limits_of_internvl_are_whole_tiles(released: Callable[[str], Path], tmp_path: Path) -> None:
    tile = 64 * 64
    out = adopt(released("internvl"), tmp_path / "out", min_pixels=tile + 1, max_pixels=5 * tile - 1)
    images = load_processor(out).image_processor
    assert (images.min_patches, images.max_patches) == (2, 4)
    # A tiled image is seen as a whole beside its tiles.
    assert areas(load_processor(out), [(64, 64), (2000, 2000)]) == [(4 + 1) * tile, (4 + 1) * tile]
    one = load_processor(adopt(released("internvl"), tmp_path / "one", max_pixels=tile))
    assert areas(one, [(64, 64), (2000, 2000)]) == [tile, tile]


def areas(processor: ProcessorMixin, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """How many pixels the model gets of images of these sizes."""
    found = []
    for size in sizes:
        inputs, _ = encode(processor, [Sample("Why?", Image.new("RGB", size))], "left")
        values = inputs["pixel_values"]
        frames = 2 if "image_grid_thw" in inputs else 1  # Qwen doubles a picture, as if it were a video
        found.append(values.numel() // 3 // frames)
    return found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_files_of_older_checkpoints(name: str, released: Callable[[str], Path], tmp_path: Path) -> None:
    older = {"min_pixels": 1024, "max_pixels": 512**2} if name == "qwen2_5_vl" else {}
    old = as_released(released(name), tmp_path / "old", older)
    choices: dict[str, Any] = {"system": "Be brief.", "min_pixels": 64 * 64, "max_pixels": 2 * 64 * 64}
    ours = load_processor(adopt(old, tmp_path / "ours", **choices))
    new = load_processor(adopt(released(name), tmp_path / "new", **choices))
    assert ours.chat_template == ours.tokenizer.chat_template == new.chat_template
    assert ours.image_processor.to_dict() == new.image_processor.to_dict()
    assert areas(ours, [(16, 16), (300, 300)]) == areas(new, [(16, 16), (300, 300)])


def test_nothing_chosen_is_a_copy_whose_weights_take_no_room(thinking: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "checkpoints").mkdir(parents=True)
    for file in thinking.iterdir():
        shutil.copy(file, tmp_path / "in" / file.name)
    (tmp_path / "in" / "optimizer.pt").write_bytes(b"not part of it")
    out = adopt(str(tmp_path / "in"), tmp_path / "out")
    assert files(out) == files(thinking)
    assert (out / "model.safetensors").stat().st_ino == (tmp_path / "in" / "model.safetensors").stat().st_ino
    assert (out / "config.json").stat().st_ino != (tmp_path / "in" / "config.json").stat().st_ino
    load(out, device="cpu")


def test_a_cache_of_symbolic_links_and_another_file_system(
    thinking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the Hub's cache is; then without hard links."""
    cache = tmp_path / "models--owner--name" / "snapshots" / "main"
    cache.mkdir(parents=True)
    shutil.copytree(thinking, tmp_path / "models--owner--name" / "blobs")
    for file in thinking.iterdir():
        (cache / file.name).symlink_to(Path("../../blobs", file.name))
    linked = adopt(cache, tmp_path / "linked", system="Be brief.")
    assert not any(file.is_symlink() for file in linked.iterdir())
    assert "Be brief." not in (cache / "chat_template.jinja").read_text()

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    copied = adopt(cache, tmp_path / "copied", system="Be brief.")
    assert files(copied) == files(linked)
    assert (copied / "model.safetensors").stat().st_nlink == 1


@pytest.mark.parametrize(
    ("name", "choices", "message"),
    [
        ("qwen3_vl", {"thinking": "off"}, "does not look at enable_thinking"),
        ("internvl", {"thinking": "on"}, "does not look at enable_thinking"),
        ("qwen3_vl", {"min_pixels": 5000, "max_pixels": 4000}, r"min_pixels \(5,000 pixels\) is above"),
        (
            "qwen2_5_vl",
            {"max_pixels": 100},
            r"min_pixels \(1,024 pixels\) is above max_pixels \(100 pixels\)",
        ),
        ("internvl", {"max_pixels": 4095}, "one tile of its images has 4,096 pixels"),
        ("internvl", {"min_pixels": 13 * 4096}, r"min_pixels \(13 tiles of 4,096 pixels\) is above"),
    ],
)
def test_a_choice_that_the_model_does_not_have_is_one_line(
    name: str, choices: dict[str, Any], message: str, released: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(PercasymError, match=message) as caught:
        adopt(released(name), tmp_path / "out", **choices)
    assert str(released(name)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


TEMPLATES = {
    "nobody writes it": "{% for m in messages %}{{ m.content if m.role == 'user' }}{% endfor %}",
    "it is refused": "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}",
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_without_system_turn_is_one_line(template: str, thinking: Path, tmp_path: Path) -> None:
    shutil.copytree(thinking, tmp_path / "in")
    (tmp_path / "in" / "chat_template.jinja").write_text(template)
    with pytest.raises(PercasymError, match="writes no system turn"):
        adopt(tmp_path / "in", tmp_path / "out", system="Be brief.")


def other_pixels(folder: Path) -> None:
    config = json.loads((folder / "processor_config.json").read_text())
    config["image_processor"] = {"image_processor_type": "CLIPImageProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(config))


def several_templates(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")


def swollen(folder: Path) -> None:
    config = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({**config, "filling": "x" * (17 << 20)}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_pixels, "CLIPImageProcessor has no limits of an image's area"),
        (several_templates, "several chat templates"),
        (swollen, "larger than 16,777,216 bytes"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "processor_config.json").unlink(), "image processor"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "no chat template"),
    ],
)
def test_a_checkpoint_that_cannot_be_adopted_is_one_line(
    damage: Callable[[Path], Any], message: str, thinking: Path, tmp_path: Path
) -> None:
    shutil.copytree(thinking, tmp_path / "in")
    damage(tmp_path / "in")
    with pytest.raises(PercasymError, match=message) as caught:
        adopt(tmp_path / "in", tmp_path / "out", system="Be brief.", min_pixels=2048)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_program(
    thinking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"checkpoint": str(thinking), "out": str(tmp_path / "out"), "thinking": "off"}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    assert main([str(file)]) == 0
    assert files(tmp_path / "out") == files(adopt(thinking, tmp_path / "same", thinking="off"))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for change, message in [
        ({}, "exists: choose another folder"),
        ({"out": str(tmp_path / "new"), "checkpoint": "percasym-tests/nothing"}, "the Hub does not give it"),
        ({"out": str(tmp_path / "new"), "checkpoint": "nowhere"}, "there is no checkpoint nowhere"),
        ({"thinking": "perhaps"}, "thinking"),
        ({"min_pixels": -1}, "min_pixels"),
    ]:
        file.write_text(json.dumps({**config, **change}))
        assert main([str(file)]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.vllm
@pytest.mark.parametrize("template", [QWEN3_VL, QWEN2_5_VL, INTERNVL, THINKING])
def test_vllm_still_finds_the_parts_of_a_turn(template: str, writer: ProcessorMixin) -> None:
    from vllm.renderers.hf import _detect_content_format

    writer.chat_template = template
    adopted = with_choices(writer, "Be brief.", "off" if template == THINKING else "")
    for text in (template, adopted):
        assert _detect_content_format(text, default="string") == "openai"
