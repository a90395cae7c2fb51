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
from percasym.values import field_type, item_type, load_texts, read_value

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
    fields = {str(key): read_value(value, field_type(StudyConfig, key)) for key, value in texts.items()}
    changes = changes or {}
    if changes.get("puzzle", fields.get("puzzle")) != fields.get("puzzle"):
        fields["puzzle_options"] = fields["pretrain_options"] = {}  # those of another puzzle
    if {"arms", "rl_arms", "rl_from"} & changes.keys():
        fields["recipes"] = []  # what is short for recipes replaces them
    for key, value in changes.items():
        if isinstance(value, Mapping):
            fields[key] = {**(fields.get(key) or {}), **value}
        else:
            fields[key] = value
    try:
        return StudyConfig.model_validate(fields)
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


def parse_settings(settings: Iterable[str], model: type[BaseModel] = StudyConfig) -> dict[str, Any]:
    """`field=value` texts as fields of `model`, each value read by the type of its field.

    A text field takes the text as it stands, `a,b` is a list, `puzzle_options.rows=2` sets one option.

    Raises:
        PercasymError: a text without `=`, or an option of what has none.
    """
    fields: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise PercasymError(f"--set {setting!r}: write field=value")
        name, dot, option = key.partition(".")
        kind = field_type(model, name)
        if not dot:
            fields[name] = read_value(text, kind)
            continue
        options = fields.setdefault(name, {})
        if not isinstance(options, dict):
            raise PercasymError(f"--set {setting!r}: {name} is {options!r} already")
        options[option] = read_value(text, item_type(kind))
    return fields


def explain(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {field!r}; `percasym presets` lists them"
    return f"{field}={first['input']!r}: {message}" if field else message
