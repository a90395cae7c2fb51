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


def field_type(model: type[BaseModel], name: str) -> Any:
    """The type of a field; Any of one that is not there."""
    return model.model_fields[name].annotation if name in model.model_fields else Any


def item_type(kind: Any) -> Any:
    """The type of what is in a list or a mapping; Any where that is not said."""
    return (get_args(kind) or (Any,))[-1] if get_origin(kind) in (list, dict) else Any


def read_value(value: Any, kind: Any) -> Any:
    """A text, or what a YAML document has of them, as a value of a type.

    A text that cannot be one stays as it is, and validation will complain about it. A list may be written a,b
    or [a, b], a mapping {a: b}. What may be of several types is the number, truth or list that it looks like.
    """
    if isinstance(value, Mapping):
        return {key: read_value(item, item_type(kind)) for key, item in value.items()}
    if isinstance(value, list):
        return [read_value(item, item_type(kind)) for item in value]
    if value is None or kind is str or get_origin(kind) is Literal:
        return value
    if get_origin(kind) in (list, dict):
        return _read_several(value, kind)
    if kind is bool:
        return _valid(value, bool)
    return str(value) if isinstance(value, Quoted) else _plain(value, kind)


def _read_several(text: str, kind: Any) -> Any:
    if not text:
        return get_origin(kind)()
    if text[0] in "[{":
        try:
            return read_value(load_texts(text), kind)
        except yaml.YAMLError:
            return text
    if get_origin(kind) is dict:
        return text
    return [read_value(part, item_type(kind)) for part in text.split(",") if part]


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
