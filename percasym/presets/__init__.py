"""From a preset, or a file like one, and what a user sets, to the config of a study.

The presets are the YAML files beside this one.
"""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import yaml
from pydantic import ValidationError

from percasym.config import StudyConfig
from percasym.errors import PercasymError

PRESETS = ("mini", "gpu-mini", "paper")


def load_preset(name: str, changes: Mapping[str, Any] | None = None) -> StudyConfig:
    """The preset called `name`, or the YAML file of that path, with `changes` to its fields.

    Raises:
        PercasymError: no such preset or file, or a field that does not exist or is out of range.
    """
    fields = yaml.safe_load(preset_text(name))
    if not isinstance(fields, dict):
        raise PercasymError(f"{name} holds no settings: write one `field: value` a line")
    changes = changes or {}
    if changes.get("puzzle", fields.get("puzzle")) != fields.get("puzzle"):
        fields["puzzle_options"] = fields["pretrain_options"] = {}  # those of another puzzle
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
            with open(name) as file:
                return file.read()
        except OSError as error:
            raise PercasymError(f"cannot read {name}: {error.strerror}") from None
    raise PercasymError(
        f"there is no preset {name!r}; take {', '.join(PRESETS)}, or the path of a .yaml file"
    )


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """`key=value` texts as fields: values are YAML, `a,b` is a list, `puzzle_options.rows=2` sets one option.

    Raises:
        PercasymError: a text without `=`.
    """
    fields: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise PercasymError(f"--set {setting!r}: write field=value")
        name, dot, option = key.partition(".")
        value = _value(text)
        if name in ("arms", "rl_arms") and not isinstance(value, list):
            value = [value] if value else []
        if dot:
            fields.setdefault(name, {})[option] = value
        else:
            fields[name] = value
    return fields


def _value(text: str) -> Any:
    if "," in text and not text.startswith(("[", "{", '"', "'")):
        return [_value(part) for part in text.split(",") if part]
    if not text:
        return ""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    # YAML 1.1 reads 1e-3 as a text: it wants a dot in a number.
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value


def explain(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {field!r}; `percasym presets` lists them"
    return f"{field}={first['input']!r}: {message}" if field else message
