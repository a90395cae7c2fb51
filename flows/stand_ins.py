"""What rewards with a surrogate need before they can be learnt from: an audit, and a teacher's captions."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from prefect.futures import PrefectFuture

from percasym.config import StudyConfig
from percasym.diagnostics.surrogate_audit import best_surrogate
from percasym.rewards import BEST, parse_reward
from percasym.surrogates import SURROGATES, uses_teacher
from tasks.audit import AUDIT, audit
from tasks.caption import caption
from tasks.stage import Reference


class StandIns(NamedTuple):
    audit: PrefectFuture[Reference] | None
    captions: PrefectFuture[Reference] | None

    def of(self, reward: str) -> dict[str, Any]:
        """The inputs that a reward has beside others, so that these do not depend on them."""
        wanted = self.captions is not None and uses_teacher(parse_reward(reward).surrogate)
        return {"captions": self.captions} if wanted else {}

    def best(self) -> str:
        """Waits for the audit: the surrogate that it ranks first.

        Raises:
            PercasymError: it could rank none.
            Exception: whatever it failed with.
        """
        assert self.audit is not None
        return best_surrogate(json.loads((self.audit.result().path / AUDIT).read_text()))


def prepare(config: StudyConfig, study: str, data: Any, models: Mapping[str, Any]) -> StandIns:
    """Starts what the rewards of a study need; nothing, if none has a surrogate.

    The audit takes the responses of the model that GRPO starts from to validation items, and all surrogates
    that are possible: those built in, and those of the user that are rewards. The teacher captions what GRPO
    learns from, if a reward looks at it or may turn out to.

    Args:
        study: id of the study's MLflow run.
        models: the base and each arm.
    """
    asked = set(config.surrogates().values())
    if not asked:
        return StandIns(None, None)
    teacher = models.get(config.rl_teacher, config.rl_teacher) or None
    names = [name for name in SURROGATES if name != "teacher" or teacher]
    names += sorted(asked - {BEST, *SURROGATES})
    audited = audit.submit(
        config,
        study,
        data=data,
        model=models[config.rl_from],
        teacher=teacher,
        surrogates={name: name for name in names},
    )
    captions = None
    if teacher and any(name == BEST or uses_teacher(name) for name in asked):
        captions = caption.submit(config, study, data=data, model=teacher, split="train_rl")
    return StandIns(audited, captions)
