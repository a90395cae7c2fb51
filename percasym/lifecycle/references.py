"""What MLflow's runs and registered models refer to, directly and through each other."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from percasym.errors import PercasymError
from percasym.tracking import PARENT, RUN_ID, Tracker

KEY = "key"  # a tag that runs of stages have, and no others
PAGE = 1000
DELETED = "deleted"


def reached(roots: Iterable[str], follow: Callable[[str], Iterable[str]]) -> set[str]:
    """`roots`, and all that can be reached from them by `follow`."""
    pending, seen = list(roots), set[str]()
    while pending:
        one = pending.pop()
        if one not in seen:
            seen.add(one)
            pending += follow(one)
    return seen


def pages(search: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """Everything that a search of MLflow's client finds, which gives it by pages."""
    token = None
    while True:
        page = search(*arguments, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def answering() -> Iterator[None]:
    """Turns MLflow's failure to answer into one line."""
    try:
        yield
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise PercasymError(f"MLflow does not say what it knows: {line}") from error


class References:
    """The runs of all experiments as they are now, and which of them something refers to.

    A run that is not the run of a stage (a study, an evaluation, a run of the user's own) counts for itself
    until it is deleted in MLflow; so does a registered model. Whatever these name in their tags `stage.*` and
    `input.*`, and their children, are referred to.

    Raises:
        PercasymError: MLflow does not answer.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.client = tracker.client
        with answering():
            self.experiments = [found.experiment_id for found in pages(self.client.search_experiments)]
            found = list(pages(self.client.search_runs, self.experiments))
            versions = list(pages(self.client.search_model_versions))
        self.active: dict[str, Any] = {run.info.run_id: run for run in found}
        self.models = {
            run_id for version in versions for run_id in RUN_ID.findall(f"{version.run_id} {version.source}")
        }
        self.flows = {run_id for run_id, run in self.active.items() if KEY not in run.data.tags}
        self._others: dict[str, Any] = {}
        self._children: dict[str, list[str]] = {}
        for run_id, run in self.active.items():
            self._children.setdefault(run.data.tags.get(PARENT, ""), []).append(run_id)

    def run(self, run_id: str) -> Any:
        """MLflow's run of that id, deleted or not; None if it does not know it."""
        if run_id in self.active:
            return self.active[run_id]
        if run_id not in self._others:
            try:
                self._others[run_id] = self.client.get_run(run_id)
            except Exception as error:  # a server that fails to answer has not said that there is no such run
                if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
                    raise
                self._others[run_id] = None
        return self._others[run_id]

    def tags(self, run_id: str) -> Mapping[str, str]:
        run = self.run(run_id)
        return run.data.tags if run else {}

    def from_roots(self, more: Iterable[str] = ()) -> set[str]:
        """Ids of flows, of the models' runs and of `more`, and of all runs that these refer to."""
        return reached([*self.flows, *self.models, *more], self._next)

    def outdated(self) -> bool:
        """Whether there are new runs since."""
        newest = max((run.info.start_time for run in self.active.values()), default=0)
        later = pages(self.client.search_runs, self.experiments, f"attributes.start_time >= {newest}")
        return any(run.info.run_id not in self.active for run in later)

    def _next(self, run_id: str) -> list[str]:
        named = [
            value
            for tag, value in self.tags(run_id).items()
            if tag.startswith(("stage.", "input.")) and RUN_ID.fullmatch(value)
        ]
        return named + self._children.get(run_id, [])
