"""Text generation behind one small interface: requests in, completions out."""

from percasym.engines.base import LONGEST, Completion, Engine, Request, Sampling

__all__ = ["LONGEST", "Completion", "Engine", "Request", "Sampling"]
