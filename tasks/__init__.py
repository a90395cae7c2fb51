"""Prefect tasks: one stage a file, each thin: a config and references in, a reference out."""
