"""Prefect flows that read like the method section of a paper."""
