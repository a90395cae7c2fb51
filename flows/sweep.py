"""The trade-off curve: the study with a grid of fixed weights of the perception loss among its arms."""

from prefect import flow

from flows.study import Outcome, study
from percasym.config import StudyConfig

GRID = [0.1, 0.3, 0.5, 0.7, 0.9]


@flow(name="sweep", flow_run_name="{config.name}")
def sweep(config: StudyConfig, lams: list[float] = GRID) -> Outcome:
    """Run the study with one arm for each of `lams`, from 0 to 1, in place of its fixed weights."""
    return study(config.over(lams))
