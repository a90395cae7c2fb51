"""Faults at named places, in every Python whose PYTHONPATH has this folder: see benchmarks/places.py.

FAULT_RECORD=FILE      appends each function of ours to FILE when it is first called in a process
FAULT_AT=PLACE,WHEN,KIND,MARK
                       does harm at MODULE:FUNCTION, before or after it works, once: the file MARK says so
"""

import errno
import functools
import importlib.abc
import importlib.util
import os
import signal
import sys
from types import FunctionType

OURS = ("tasks.", "flows.", "percasym.")


def harm(kind):
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise ConnectionError("injected: the network is unreachable")


def first(mark):
    """Whether nobody was here before, in whichever process."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def harmed(function, when, kind, mark):
    @functools.wraps(function)
    def call(*arguments, **options):
        if when == "before" and first(mark):
            harm(kind)
        result = function(*arguments, **options)
        if when == "after" and first(mark):
            harm(kind)
        return result

    return call


def recorded(function, place, file):
    @functools.wraps(function)
    def call(*arguments, **options):
        if place not in seen:
            seen.add(place)
            with open(file, "a") as out:
                out.write(place + "\n")
        return function(*arguments, **options)

    return call


seen = set()


def functions(module):
    """(owner, name, function) of the module's own functions and plain methods."""
    for name, value in list(vars(module).items()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield module, name, value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for inner, method in list(vars(value).items()):
                if isinstance(method, FunctionType) and not inner.startswith("__"):
                    yield value, inner, method


def change(module):
    for owner, name, function in functions(module):
        qualified = name if owner is module else f"{owner.__name__}.{name}"
        place = f"{module.__name__}:{qualified}"
        if file := os.environ.get("FAULT_RECORD"):
            setattr(owner, name, recorded(function, place, file))
        elif at := os.environ.get("FAULT_AT"):
            wanted, when, kind, mark = at.split(",")
            if place == wanted:
                setattr(owner, name, harmed(function, when, kind, mark))


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if not name.startswith(OURS):
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_change(module):
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change
        return spec


if os.environ.get("FAULT_RECORD") or os.environ.get("FAULT_AT"):
    sys.meta_path.insert(0, Finder())
