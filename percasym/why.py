"""Why a stage of a study was done, or found: what its key was made of, beside the last time."""

import json
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from percasym.errors import PercasymError
from percasym.runs import STUDY, kept, search
from percasym.tracking import PARTS, allowed_name

LINK = "stage."


class Reason(TypedDict):
    """Why one stage of the latest finished study of a name ended as it did; plain JSON."""

    stage: str
    study: str
    ending: Literal["hit", "done"]
    made: str
    """When its result was made; ISO 8601, UTC."""
    before: str | None
    """When the result was made that it is compared with: the last one of this stage before it."""
    changes: dict[str, tuple[str | None, str | None]]
    """What was and is of each part that differs, None where it is not there."""


def explain(stage: str, study: str | None = None) -> Reason:
    """Why a stage was done again, or was not.

    Args:
        stage: as the study shows it, such as "sft ngdiff".
        study: the name of a study; None: the latest.

    Raises:
        PercasymError: there is no such study, or it has no such stage.
    """
    tracker = kept()
    studies = search(tracker, STUDY, study, 1, "attributes.status = 'FINISHED'")
    if not studies:
        raise PercasymError(f"there is no finished study{f' called {study!r}' if study else ''}")
    tags, began = studies[0].data.tags, studies[0].info.start_time
    links = {name.removeprefix(LINK): run for name, run in tags.items() if name.startswith(LINK)}
    run_id = links.get(allowed_name(stage.replace(" ", ".", 1)))
    if run_id is None:
        known = ", ".join(sorted(name.replace(".", " ", 1) for name in links))
        raise PercasymError(f"the study {studies[0].info.run_name} has no stage {stage!r}; it has {known}")
    run = tracker.client.get_run(run_id)
    earlier = _earlier(tracker, run)
    return Reason(
        stage=stage,
        study=str(studies[0].info.run_name),
        ending="hit" if run.info.start_time < began else "done",
        made=_date(run),
        before=_date(earlier) if earlier else None,
        changes=_changes(_parts(earlier), _parts(run)) if earlier else {},
    )


def _earlier(tracker: Any, run: Any) -> Any:
    """The finished run of the same stage and label before this one that says what it was made of, if any."""
    tags = {name: run.data.tags[name] for name in ("stage", "label")}
    before = (
        one
        for one in tracker.having(**tags)
        if one.info.status == "FINISHED"
        and one.info.start_time < run.info.start_time
        and PARTS in one.data.tags
    )
    return next(before, None)


def _parts(run: Any) -> dict[str, str]:
    parts: dict[str, str] = json.loads(run.data.tags.get(PARTS, "{}"))
    return parts


def _changes(old: dict[str, str], new: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    return {
        name: (old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _date(run: Any) -> str:
    return datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(timespec="seconds")
