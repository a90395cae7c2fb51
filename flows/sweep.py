"""The trade-off curves: the study over a grid of weights of perception, in the loss or in the reward."""

from prefect import flow

from flows.study import Outcome, study
from percasym.config import StudyConfig

GRID = [0.1, 0.3, 0.5, 0.7, 0.9]


@flow(name="sweep", flow_run_name="{config.name}")
def sweep(config: StudyConfig, lams: list[float] = GRID, alphas: list[float] | None = None) -> Outcome:
    """Run the study over grids of weights from 0 to 1, in place of those it has.

    Args:
        lams: of the perception loss, an arm for each; none: the arms stay as they are.
        alphas: of a_p in the reward, a GRPO for each; none: no reinforcement learning.
    """
    return study(config.over(lams, alphas or []))
