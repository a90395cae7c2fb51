"""Text generation behind one small interface: requests in, completions out."""

from percasym.engines.base import Completion, Engine, Request, Sampling

__all__ = ["Completion", "Engine", "Request", "Sampling"]
