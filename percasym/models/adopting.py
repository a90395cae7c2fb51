"""Choices about a checkpoint, written into a copy of it: system prompt, thinking, how large images may be.

    python -m percasym.models.adopting CONFIG.json

makes OUT an ordinary checkpoint. Whatever reads it (evaluation, training, verl, vLLM, a server) keeps to the
choices and needs no setting for them, and a checkpoint that is trained from it inherits them.

A choice about prompts is one line at the head of the chat template, in front of the model's own text:

    {#- percasym: thinking #}{%- if enable_thinking is not defined %}{%- set enable_thinking = false %}...

It is a default: a conversation with a system turn, and a caller who says whether to think, have their way.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field
from transformers import GotOcr2ImageProcessor, ProcessorMixin, Qwen2VLImageProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from percasym import child
from percasym.errors import PercasymError
from percasym.models import FILES, checkpoint_folder, load_processor
from percasym.training.checkpoint import write_folder

TEMPLATE = "chat_template.jinja"
LONGEST_FILE = 16 << 20  # bytes of a JSON file that is read; those in question have some thousands

_OURS = re.compile(r"\{#- percasym: (\w+) #\}[^\n]*\n")


class AdoptingConfig(BaseModel, frozen=True, extra="forbid"):
    """What to write into a checkpoint; what is empty or 0 stays as it is there."""

    checkpoint: str = Field(description="A folder, or a Hub id like owner/name")
    out: Path = Field(description="Folder of the new checkpoint; must not be there yet")
    system: str = Field(default="", description="System prompt of a conversation that has none")
    min_pixels: int = Field(default=0, ge=0, description="Smaller images are enlarged to this area")
    max_pixels: int = Field(default=0, ge=0, description="Larger images are shrunk to this area")
    thinking: Literal["", "on", "off"] = Field(default="", description="The template's enable_thinking")


def adopt(
    checkpoint: str | Path,
    out: Path,
    *,
    system: str = "",
    min_pixels: int = 0,
    max_pixels: int = 0,
    thinking: Literal["", "on", "off"] = "",
) -> Path:
    """Makes `out` the checkpoint with these choices written into it, and returns it.

    What is empty or 0 stays as the checkpoint has it, also if it was adopted before; what is not replaces
    that. Weights are hard links where the file system allows it, else copies. `out` appears whole or not at
    all.

    Args:
        checkpoint: a folder, or a Hub id such as "Qwen/Qwen3-VL-2B-Instruct".
        system: the system prompt of a conversation that has none, in place of the model's default.
        min_pixels: images of a smaller area are enlarged; for InternVL, rounded up to whole tiles.
        max_pixels: images of a larger area are shrunk; for InternVL, rounded down to whole tiles.
        thinking: what `enable_thinking` is in the chat template, unless the caller sets it.

    Raises:
        PercasymError: the checkpoint is not there or damaged, a choice is one that it does not have, the
            limits contradict each other, or `out` exists or cannot be written.
    """
    if out.exists():
        raise PercasymError(f"{out} exists: choose another folder")
    folder = checkpoint_folder(checkpoint)
    processor = load_processor(checkpoint)
    try:
        limits = pixel_limits(processor, min_pixels, max_pixels) if min_pixels or max_pixels else {}
        template = with_choices(processor, system, thinking) if system or thinking else ""
    except PercasymError as error:
        raise PercasymError(f"{checkpoint}: {error}") from error

    def fill(aside: Path) -> None:
        _copy(folder, aside)
        if limits:
            _set_limits(aside, limits)
        if template:
            _set_template(aside, template)

    write_folder(out, [fill])
    return out


def with_choices(processor: ProcessorMixin, system: str, thinking: Literal["", "on", "off"]) -> str:
    """The chat template of `processor` with our lines at its head; "" leaves the line that is there.

    Raises:
        PercasymError: it writes no system turn, knows no `enable_thinking`, or is not the only one.
    """
    template = processor.chat_template
    if not isinstance(template, str):
        raise PercasymError("it has several chat templates; keep the one to be used")
    lines = {}
    while ours := _OURS.match(template):
        lines[ours[1]] = ours[0]
        template = template[ours.end() :]
    if system:
        lines["system"] = _system_line(processor, template, system)
    if thinking:
        lines["thinking"] = _thinking_line(processor, template, thinking)
    return "".join(lines[name] for name in sorted(lines)) + template


def _system_line(processor: ProcessorMixin, template: str, system: str) -> str:
    """As text or as a list of parts: in the form in which the template writes a system turn."""

    def line(text: str, in_parts: bool) -> str:
        content = [{"type": "text", "text": text}] if in_parts else text
        # JSON is Jinja too, but for pairs of surrogates, which it has none of unless asked for ASCII.
        turn = json.dumps({"role": "system", "content": content}, ensure_ascii=False)
        return _line(
            "system",
            '"system" not in messages | map(attribute="role") | list',
            f"messages = [{turn}] + messages",
        )

    probe = "a text that no chat template has of its own"
    for in_parts in (False, True):
        if probe in _rendered(processor, line(probe, in_parts) + template):
            return line(system, in_parts)
    raise PercasymError("its chat template writes no system turn; leave the system prompt empty")


def _thinking_line(processor: ProcessorMixin, template: str, thinking: str) -> str:
    lines = {
        choice: _line("thinking", "enable_thinking is not defined", f"enable_thinking = {value}")
        for choice, value in (("on", "true"), ("off", "false"))
    }
    if len({_rendered(processor, line + template) for line in lines.values()}) == 1:
        raise PercasymError("its chat template does not look at enable_thinking; leave thinking empty")
    return lines[thinking]


def _line(name: str, condition: str, assignment: str) -> str:
    """Writes nothing itself: its last newline goes, as all render templates with `trim_blocks`."""
    return f"{{#- percasym: {name} #}}{{%- if {condition} %}}{{%- set {assignment} %}}{{%- endif %}}\n"


def _rendered(processor: ProcessorMixin, template: str) -> str:
    """The prompt of a question about an image; "" if the template refuses."""
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    messages = [{"role": "user", "content": content}]
    try:
        text: str = processor.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except Exception:  # Jinja's, or whatever the template raises
        return ""
    return text


def pixel_limits(processor: ProcessorMixin, min_pixels: int, max_pixels: int) -> dict[str, Any]:
    """The settings of the image processor that keep images within these areas; 0 is the limit that it has.

    Raises:
        PercasymError: it has no such limits, or they contradict each other.
    """
    images = processor.image_processor
    if isinstance(images, Qwen2VLImageProcessor | Qwen2VLImageProcessorPil):
        # By their names these are edges, but they are areas.
        low, high = min_pixels or images.size["shortest_edge"], max_pixels or images.size["longest_edge"]
        settings: dict[str, Any] = {"size": {"shortest_edge": low, "longest_edge": high}}
        unit = "pixels"
    elif isinstance(images, GotOcr2ImageProcessor | GotOcr2ImageProcessorPil):
        tile = images.size["height"] * images.size["width"]
        if 0 < max_pixels < tile:
            raise PercasymError(f"one tile of its images has {tile:,} pixels; set max_pixels to that or more")
        low, high = -(-min_pixels // tile) or images.min_patches, max_pixels // tile or images.max_patches
        settings = {"min_patches": low, "max_patches": high}
        unit = f"tiles of {tile:,} pixels"
    else:
        kind = type(images).__name__
        raise PercasymError(f"{kind} has no limits of an image's area; leave min_pixels and max_pixels at 0")
    if low > high:
        raise PercasymError(f"min_pixels ({low:,} {unit}) is above max_pixels ({high:,} {unit}): set both")
    return settings


def _copy(folder: Path, aside: Path) -> None:
    """The files of a checkpoint, and nothing else that may lie beside them."""
    for file in sorted({file for pattern in FILES for file in folder.glob(pattern) if file.is_file()}):
        target = aside / file.name
        if file.suffix == ".safetensors":
            try:
                os.link(file.resolve(), target)  # the Hub's cache has symbolic links
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(file, target)
        else:
            shutil.copyfile(file, target)


def _set_limits(folder: Path, limits: Mapping[str, Any]) -> None:
    """Since version 5 transformers keeps all of a processor in one file, which goes over the older one."""
    whole, apart = folder / "processor_config.json", folder / "preprocessor_config.json"
    config = _read(whole) if whole.exists() else {}
    if "image_processor" in config:
        _write(whole, {**config, "image_processor": _limited(config["image_processor"], limits)})
    else:
        _write(apart, _limited(_read(apart), limits))


def _limited(settings: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    older = ("min_pixels", "max_pixels")  # would go over `size`
    return {name: value for name, value in settings.items() if name not in older} | dict(limits)


def _set_template(folder: Path, template: str) -> None:
    """Writes it to the one place where it belongs, and leaves no other template that might be taken."""
    (folder / TEMPLATE).write_text(template, encoding="utf-8")
    (folder / "chat_template.json").unlink(missing_ok=True)
    for file in (folder / "processor_config.json", folder / "tokenizer_config.json"):
        config = _read(file) if file.exists() else {}
        if config.pop("chat_template", None) is not None:
            _write(file, config)


def _read(file: Path) -> dict[str, Any]:
    if file.stat().st_size > LONGEST_FILE:
        raise PercasymError(f"{file.name} is larger than {LONGEST_FILE:,} bytes: it is no settings file")
    config: dict[str, Any] = json.loads(file.read_bytes())
    return config


def _write(file: Path, config: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def run(config: AdoptingConfig) -> None:
    """See `adopt`."""
    adopt(**dict(config))


def main(arguments: Sequence[str]) -> int:
    return child.main(arguments, "percasym.models.adopting", AdoptingConfig, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
