"""Offers the flows to the Prefect UI, where they are started from a form.

    prefect server start &
    python deployments/serve.py

Runs are children of this process and work in PERCASYM_HOME, by default ./.percasym.
"""

from prefect import serve

from flows.study import study
from flows.sweep import sweep

if __name__ == "__main__":
    serve(
        study.to_deployment("study", description="One study: its form has a field for every setting."),
        sweep.to_deployment(
            "sweep", description="A study over a grid of fixed weights: the trade-off curve."
        ),
        limit=1,
    )
