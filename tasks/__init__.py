"""Prefect tasks: one stage a file, each thin: a config and references in, a reference out.

Heavy libraries are imported by the function that works with them: a study whose stages are all found needs
none.
"""
