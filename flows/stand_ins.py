"""What rewards with a surrogate need before they can be learnt from: an audit, and a teacher's captions."""

import json
from collections.abc import Mapping
from typing import Any

from prefect.futures import PrefectFuture

from percasym.config import StudyConfig
from percasym.diagnostics.surrogate_audit import best_surrogate
from percasym.recipes import Model
from percasym.rewards import BEST, is_undecided, parse_reward
from percasym.surrogates import SURROGATES, uses_teacher
from tasks.audit import AUDIT, audit
from tasks.caption import caption
from tasks.stage import Reference


class StandIns:
    """The audit and the captions of a study; None of what its rewards do not need.

    The audit takes the responses of the model that the first training with a surrogate starts from to
    validation items, and all surrogates that are possible: those built in, and those of the user that are
    rewards. The teacher captions what GRPO learns from, if a reward looks at it or may turn out to.
    """

    def __init__(self, config: StudyConfig, study: str, data: Any, models: Mapping[str, Any]) -> None:
        """
        Args:
            study: id of the study's MLflow run.
            models: the base and each model that is trained, as they are submitted.
        """
        self.config, self.study, self.data, self.models = config, study, data, models
        rewards = {
            model.name: parse_reward(model.phase.objective)
            for model in config.models
            if model.phase.trainer == "grpo"
        }
        self.audited = {name: reward.surrogate for name, reward in rewards.items() if reward.stands_in}
        self.surrogates = {reward.surrogate for reward in rewards.values() if reward.surrogate}
        self.audit: PrefectFuture[Reference] | None = None
        self.captions: PrefectFuture[Reference] | None = None

    @property
    def teacher(self) -> Any:
        """The model that captions; None if there is none."""
        return self.models.get(self.config.rl_teacher, self.config.rl_teacher) or None

    def ready(self, model: Model, best: str | None) -> bool:
        """Whether a model whose start is submitted can be too: it waits for no teacher that is trained here,
        and for no audit, or there is the name of the `best` surrogate."""
        objective, teacher = model.phase.objective, self.config.rl_teacher
        if model.phase.trainer == "sft":
            return True
        trained = teacher in self.models or teacher not in {one.name for one in self.config.models}
        if is_undecided(objective):
            return best is not None and (trained or not uses_teacher(best))
        return trained or not uses_teacher(parse_reward(objective).surrogate)

    def of(self, reward: str) -> dict[str, Any]:
        """The inputs that a reward has beside others, so that these do not depend on them."""
        if not (self.teacher and uses_teacher(parse_reward(reward).surrogate)):
            return {}
        return {"captions": self._captions()}

    def audit_surrogates(self) -> None:
        """Starts the audit, once all models that wait for none are submitted."""
        if not self.audited:
            return
        if self.teacher and any(name == BEST or uses_teacher(name) for name in self.surrogates):
            self._captions()
        start = next(model.start for model in self.config.models if model.name in self.audited)
        names = [name for name in SURROGATES if name != "teacher" or self.teacher]
        names += sorted(set(self.audited.values()) - {BEST, *SURROGATES})
        self.audit = audit.submit(
            self.config,
            self.study,
            data=self.data,
            model=self.models[start],
            teacher=self.teacher,
            surrogates={name: name for name in names},
        )

    def best(self) -> str:
        """Waits for the audit: the surrogate that it ranks first.

        Raises:
            PercasymError: it could rank none.
            Exception: whatever it failed with.
        """
        assert self.audit is not None
        return best_surrogate(json.loads((self.audit.result().path / AUDIT).read_text()))

    def _captions(self) -> PrefectFuture[Reference]:
        if self.captions is None:
            self.captions = caption.submit(
                self.config, self.study, data=self.data, model=self.teacher, split="train_rl"
            )
        return self.captions
