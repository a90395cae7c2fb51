"""Things that are chosen by a text: a built-in by its name, or a user's own as path/to/file.py:NAME.

Arguments follow after colons, as values or by their names: `fixed:0.5`, `ngdiff:floor=0.05`,
`own.py:Mine:scale=2:mode=soft`. What reads as a number is one.
"""

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from percasym.allowed import check_path
from percasym.errors import PercasymError

T = TypeVar("T")

_CALL = re.compile(r"(?P<name>(?P<path>.*?\.py):[^:]*|[^:]*)(?P<arguments>(?::.*)?)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Call:
    """A text taken apart."""

    text: str
    name: str
    """Of a built-in, or path/to/file.py:NAME."""
    path: str
    """Of the user's file; "" for a built-in."""
    values: tuple[Any, ...]
    options: Mapping[str, Any]

    def of(self, function: Callable[..., T]) -> T:
        """Calls a function or class with the arguments.

        Raises:
            PercasymError: they are not those that it takes, or it fails with them.
        """
        self.bind(function)
        try:
            return function(*self.values, **self.options)
        except PercasymError:
            raise
        except Exception as error:
            raise PercasymError(f"{self.text}: {type(error).__name__}: {error}") from error

    def bind(self, function: Callable[..., Any], *first: Any) -> None:
        """Raises:
        PercasymError: `function` cannot be called with `first` and the arguments.
        """
        signature = inspect.signature(function)
        try:
            signature.bind(*first, *self.values, **self.options)
        except TypeError as error:
            wanted = [str(parameter) for parameter in list(signature.parameters.values())[len(first) :]]
            takes = ", ".join(wanted) or "no arguments"
            raise PercasymError(f"{self.text}: {error}; {self.name} takes {takes}") from None


def parse_call(text: str) -> Call:
    """Takes `name:0.5` or `path/to/file.py:NAME:key=value` apart; what it names need not exist."""
    match = _CALL.fullmatch(text)
    assert match is not None  # any text is one
    values, options = [], {}
    for argument in filter(None, match["arguments"].split(":")):
        key, equals, value = argument.partition("=")
        if equals and key.isidentifier():
            options[key] = _value(value)
        else:
            values.append(_value(argument))
    return Call(text, match["name"], match["path"] or "", tuple(values), options)


def load_class(name: str, base: type[T]) -> type[T]:
    """The class that `name`, path/to/file.py:Class, stands for; the file is run once in a process.

    Raises:
        PercasymError: no such file, one that fails, or a class that is missing or is no subclass of `base`.
        NotAllowed: a form names a file that nobody has allowed.
    """
    path, _, class_name = name.rpartition(":")
    check_path(path)
    found = getattr(_module(path), class_name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PercasymError(f"{path} has no class {class_name!r} that is a {base.__module__}.{base.__name__}")
    return found


def load_function(name: str) -> Callable[..., Any]:
    """The function that `name`, path/to/file.py:function, stands for; the file is run once in a process.

    Raises:
        PercasymError: no such file, one that fails, or one without that function.
        NotAllowed: a form names a file that nobody has allowed.
    """
    path, _, function = name.rpartition(":")
    check_path(path)
    found = getattr(_module(path), function, None)
    if not callable(found):
        raise PercasymError(f"{path} has no function {function!r}")
    return cast(Callable[..., Any], found)


def _value(text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return text


@lru_cache
def _module(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise PercasymError(f"there is no file {path!r}: write path/to/file.py:NAME")
    name = f"percasym_extension_{hashlib.sha256(path.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # every .py file has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # a dataclass of the file looks for its module there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PercasymError(f"{path} does not run: {type(error).__name__}: {error}") from error
    return module
