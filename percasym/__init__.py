"""Measure, explain and repair the perception-reasoning asymmetry of vision-language models.

What is imported from here is loaded when it is first used: `import percasym` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from percasym.judgement import score as score
    from percasym.library import Study as Study
    from percasym.library import compare as compare
    from percasym.library import evaluate as evaluate
    from percasym.library import load_results as load_results
    from percasym.library import summarise as summarise
    from percasym.puzzles import load_puzzle as load_puzzle

__version__ = "0.1.0"

_HOMES = {
    "load_puzzle": "percasym.puzzles",
    "score": "percasym.judgement",
    **dict.fromkeys(("Study", "compare", "evaluate", "load_results", "summarise"), "percasym.library"),
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'percasym' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
