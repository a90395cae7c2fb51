"""Measure, explain and repair the perception-reasoning asymmetry of vision-language models."""

__version__ = "0.1.0"
