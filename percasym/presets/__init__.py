"""From a preset, or a file like one, and what a user sets, to the config of a study.

The presets are the YAML files beside this one.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from percasym.config import StudyConfig
from percasym.errors import PercasymError
from percasym.shorthands import SHORTHANDS, merged, place, written_out
from percasym.values import field_type, load_texts, read_value

PRESETS = ("tiny", "mini", "gpu-mini", "paper")


def load_preset(name: str, changes: Mapping[str, Any] | None = None) -> StudyConfig:
    """The preset called `name`, or the YAML file of that path, with `changes` to its fields.

    Raises:
        PercasymError: no such preset or file, or a field that does not exist or is out of range.
    """
    try:
        texts = load_texts(preset_text(name))
    except yaml.YAMLError as error:
        raise PercasymError(f"{name} is no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(texts, dict):
        raise PercasymError(f"{name} holds no settings: write one `field: value` a line")
    texts = written_out({str(key): value for key, value in texts.items()})
    fields = {key: read_value(value, field_type(StudyConfig, key)) for key, value in texts.items()}
    changes = written_out(changes or {})
    if changes.get("puzzle", fields.get("puzzle")) != fields.get("puzzle"):
        fields["puzzle_options"] = {}  # those there are belong to another puzzle
        fields["pretrain"] = {**fields.get("pretrain", {}), "options": {}}
    if {"arms", "rl_arms", "rl_from"} & changes.keys():
        fields["recipes"] = []  # what is short for recipes replaces them
    try:
        return StudyConfig.model_validate(merged(fields, changes))
    except ValidationError as error:
        raise PercasymError(explain(error)) from None


def preset_text(name: str) -> str:
    """The YAML of a preset with its comments; `name` may also be the path of a file like it."""
    if name in PRESETS:
        return files("percasym").joinpath("presets", f"{name}.yaml").read_text()
    if name.endswith((".yaml", ".yml")):
        try:
            with open(name, encoding="utf-8-sig") as file:
                return file.read()
        except OSError as error:
            raise PercasymError(f"cannot read {name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise PercasymError(f"cannot read {name}: it is no UTF-8") from None
    raise PercasymError(
        f"there is no preset {name!r}; take {', '.join(PRESETS)}, or the path of a .yaml file"
    )


def schema() -> dict[str, Any]:
    """The JSON schema of a preset, by which editors complete and check such files."""
    found = StudyConfig.model_json_schema()
    for name, paths in SHORTHANDS.items():
        found["properties"].setdefault(name, {"description": f"Short for {' and '.join(paths)}."})
    return found


def parse_settings(settings: Iterable[str], model: type[BaseModel] = StudyConfig) -> dict[str, Any]:
    """`field=value` texts as fields of `model`, each value read by the type of its field.

    A text field takes the text as it stands, `a,b` is a list, `sft.steps=2` sets one setting of a group.

    Raises:
        PercasymError: a text without `=`, or a setting of what is no group.
    """
    fields: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise PercasymError(f"--set {setting!r}: write field=value")
        group, dot, rest = name.partition(".")
        for full in SHORTHANDS.get(group, (group,)) if model is StudyConfig else (group,):
            path = f"{full}{dot}{rest}"
            place(fields, path, read_value(text, field_type(model, path)))
    return fields


def explain(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {field!r}; `percasym presets` lists them"
    return f"{field}={first['input']!r}: {message}" if field else message
