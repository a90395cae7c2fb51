"""Settings as text, each read by the type of its field: what a text field is given stays as it stands.

YAML alone cannot know: it takes `off` for no, `007` for 7 and `# Role` for a remark.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
TRUTHS = {"true": True, "false": False}
NOTHING = ("null", "~")


class Quoted(str):
    """A text that stood in quotes, or as a block of lines: it is no number, whatever it looks like."""


class _Texts(yaml.SafeLoader):
    """Makes texts of all scalars."""

    yaml_implicit_resolvers: Any = {"<": [("tag:yaml.org,2002:merge", re.compile("<<$"))]}  # noqa: RUF012


def _scalar(_: yaml.SafeLoader, node: yaml.ScalarNode) -> str | None:
    if node.style:
        return Quoted(node.value)
    return None if node.value in NOTHING else str(node.value)


_Texts.add_constructor("tag:yaml.org,2002:str", _scalar)


def load_texts(text: str) -> Any:
    """The mappings, lists and texts of a YAML document.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, _Texts)


def field_type(model: Any, path: str) -> Any:
    """The type of a field, or of what a path such as "sft.steps" names; Any of what is not there."""
    kind = model
    for name in path.split("."):
        kind = item_type(kind, name)
    return kind


def item_type(kind: Any, name: str = "") -> Any:
    """The type of what is in a list or mapping, or in a model under that name; Any where it is not said."""
    if _is_model(kind):
        return kind.model_fields[name].annotation if name in kind.model_fields else Any
    if get_origin(kind) in (list, dict, tuple):
        return next((one for one in reversed(get_args(kind)) if one is not Ellipsis), Any)
    return Any


def flat(model: BaseModel) -> dict[str, Any]:
    """The fields as JSON, those of a group of settings by their paths: {"sft.steps": 300}."""
    fields: dict[str, Any] = {}
    for name, value in model.model_dump(mode="json").items():
        group = getattr(model, name)
        if isinstance(group, BaseModel):
            fields |= {f"{name}.{inner}": one for inner, one in flat(group).items()}
        else:
            fields[name] = value
    return fields


def read_value(value: Any, kind: Any) -> Any:
    """A text, or what a YAML document has of them, as a value of a type.

    A text that cannot be one stays as it is, and validation will complain about it. A list may be written a,b
    or [a, b], a mapping {a: b}. What may be of several types is the number, truth or list that it looks like.
    """
    if isinstance(value, Mapping):
        return {key: read_value(item, item_type(kind, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [read_value(item, item_type(kind)) for item in value]
    if value is None or kind is str or get_origin(kind) is Literal:
        return value
    if get_origin(kind) in (list, dict, tuple) or _is_model(kind):
        return _read_several(value, kind)
    if kind is bool:
        return _valid(value, bool)
    return str(value) if isinstance(value, Quoted) else _plain(value, kind)


def _read_several(text: str, kind: Any) -> Any:
    several = dict if _is_model(kind) else get_origin(kind)
    if not text:
        return several()
    if text[0] in "[{":
        try:
            return read_value(load_texts(text), kind)
        except yaml.YAMLError:
            return text
    if several is dict:
        return text
    return [read_value(part, item_type(kind)) for part in text.split(",") if part]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _plain(text: str, kind: Any) -> Any:
    if INTEGER.fullmatch(text):
        return _valid(text, int)
    if REAL.fullmatch(text):
        return float(text)
    if kind in (int, float):
        return text
    if text.lower() in TRUTHS:
        return TRUTHS[text.lower()]
    if text[:1] in ("[", "{", '"', "'"):
        try:
            return read_value(load_texts(text), kind)
        except yaml.YAMLError:
            return text
    parts = [_plain(part, int) for part in text.split(",")]
    return parts if len(parts) > 1 and all(isinstance(part, int) for part in parts) else text


def _valid(text: str, kind: type) -> Any:
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return text
