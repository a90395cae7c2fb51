"""Classes and functions that users write in files of their own, named as path/to/file.py:NAME."""

import hashlib
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from percasym.allowed import check_path
from percasym.errors import PercasymError

T = TypeVar("T")


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


@lru_cache
def _module(path: str) -> Any:
    if not Path(path).is_file():
        raise PercasymError(f"there is no file {path!r}: write path/to/file.py:NAME")
    spec = importlib.util.spec_from_file_location(
        f"percasym_extension_{hashlib.sha256(path.encode()).hexdigest()[:16]}", path
    )
    assert spec is not None  # every .py file has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PercasymError(f"{path} does not run: {type(error).__name__}: {error}") from error
    return module
