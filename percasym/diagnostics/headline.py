"""The finding of a study in a few sentences, which claim no more than the intervals and tests allow."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percasym.diagnostics.diagnosis import Diagnosis, ModelDiagnosis

ALPHA = 0.05
MOST_NAMED = 4
"""So many arms without a significant difference are named one by one."""


def headline(diagnosis: "Diagnosis") -> str:
    """Say what the plain SFT did to both skills, then what the other arms changed in the end-to-end accuracy.

    A change counts as one only if its 95 % interval excludes 0; a difference between two arms must moreover
    pass McNemar's test at 5 % after Holm's correction for the number of arms (Holm 1979, Scand. J. Stat. 6,
    65). The numbers stand there either way.
    """
    models = diagnosis["models"]
    base = next((name for name, model in models.items() if model["kind"] == "base"), None)
    arms = [name for name, model in models.items() if model["kind"] == "sft"]
    plain = "token_mean" if "token_mean" in arms else None
    if base is None or not arms:
        sentences = [_standing(models[base or plain or arms[0]])]
    else:
        sentences = [_asymmetry(diagnosis, base, plain or arms[0])]
    reference = reference_of(diagnosis)
    if reference is not None and (others := [arm for arm in arms if arm != reference]):
        sentences.append(_contest(diagnosis, reference, others))
    sentences += _reinforcement(diagnosis)
    return " ".join(_capitalised(sentence) for sentence in sentences)


def reference_of(diagnosis: "Diagnosis") -> str | None:
    """The model that the arms are measured against: the token mean if there is another arm, else the base."""
    models = diagnosis["models"]
    if "token_mean" in models and any(arm != "token_mean" for arm in diagnosis["comparisons"]):
        return "token_mean"
    return next((name for name, model in models.items() if model["kind"] == "base"), None)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def sign(estimate: Mapping[str, float]) -> int:
    """1 or -1 where the interval lies on one side of 0, else 0."""
    return (estimate["low"] > 0) - (estimate["high"] < 0)


def points(estimate: Mapping[str, float], signed: bool = True) -> str:
    """A difference, "+4.2 points (95 %: +1.0 to +7.4)", or a share, "4.2 % (95 %: 1.0 to 7.4)"."""
    value, low, high = (
        f"{100 * estimate[key]:{'+' if signed else ''}.1f}" for key in ("value", "low", "high")
    )
    return f"{value} {'points' if signed else '%'} (95 %: {low} to {high})".replace("-", "−")


def p_value(p: float) -> str:
    """As in "p = 0.031" or "p < 0.001"."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _standing(model: "ModelDiagnosis") -> str:
    summary, gap = model["summary"], model["gap"]
    text = f"{model['label']} answers {points(summary['a'], signed=False)} of the items right end to end"
    if summary["a_p"] is None:
        return f"{text}."
    text += f" and transcribes {points(summary['a_p'], signed=False)} exactly."
    if gap is None:
        return text
    findings = {
        1: f"reasoning (a_r) is ahead of perception (a_p) by {points(gap)}",
        0: f"no significant difference between reasoning (a_r) and perception (a_p), {points(gap)}",
        -1: f"reasoning (a_r) is behind perception (a_p): {points(gap)}",
    }
    given = f"Given the right transcription it answers {points(summary['a_r'], signed=False)}"
    return f"{text} {given}: {findings[sign(gap)]}."


def _asymmetry(diagnosis: "Diagnosis", base: str, arm: str) -> str:
    changes = diagnosis["comparisons"][arm][base]
    label, growth = diagnosis["models"][arm]["label"], diagnosis["models"][arm]["gap_growth"]
    if changes["a_p"] is None:
        return f"{label} changed the accuracy (a) by {points(changes['a']['difference'])}."
    if growth is None:
        return f"{label} changed perception (a_p) by {points(changes['a_p']['difference'])}."
    a_r, a_p = (
        f"{100 * changes[key]['difference']['value']:+.1f}".replace("-", "−") for key in ("a_r", "a_p")
    )
    reversed_growth = {"value": -growth["value"], "low": -growth["high"], "high": -growth["low"]}
    findings = {
        1: f"relative to perception, reasoning moved ahead by {points(growth)}",
        0: f"no significant difference between the two changes, {points(growth)}",
        -1: f"relative to reasoning, perception moved ahead by {points(reversed_growth)}",
    }
    changed = f"{label} changed reasoning (a_r) by {a_r} points and perception (a_p) by {a_p}"
    return f"{changed}: {findings[sign(growth)]}."


def _contest(diagnosis: "Diagnosis", reference: str, arms: Sequence[str]) -> str:
    """What each arm does to the end-to-end accuracy against one reference."""
    models, tests = diagnosis["models"], [diagnosis["comparisons"][arm][reference]["a"] for arm in arms]
    changed, unchanged = [], []
    for arm, test, p in zip(arms, tests, holm([test["p"] for test in tests]), strict=True):
        finding = f"{models[arm]['label']}, {points(test['difference'])}"
        direction = sign(test["difference"]) if p < ALPHA else 0
        if direction:
            changed.append(f"{'higher' if direction > 0 else 'lower'} with {finding}, {p_value(p)}")
        else:
            unchanged.append(finding)
    if len(unchanged) > MOST_NAMED:
        changed.append(f"no significant difference with {len(unchanged)} of {len(arms)} arms")
    elif unchanged:
        changed.append(f"no significant difference with {', nor with '.join(unchanged)}")
    return f"End-to-end accuracy against {models[reference]['label']}: {'; '.join(changed)}."


def _reinforcement(diagnosis: "Diagnosis") -> list[str]:
    """What each reward changed in both skills, and what the outcome followed meanwhile."""
    sentences = []
    for name, model in diagnosis["models"].items():
        if model["kind"] != "rl" or model["start"] is None:
            continue
        changes = diagnosis["comparisons"][name][model["start"]]
        parts = [
            f"{figure} by {points(changes[figure]['difference'])}"
            for figure in ("a", "a_r", "a_p")
            if changes[figure]
        ]
        before = diagnosis["models"][model["start"]]["label"]
        text = f"{model['label']} changed {', '.join(parts)} over {before}"
        last = model["coupling"][-1]["coupling"] if model["coupling"] else None
        if last and last["a_p"]["pooled"] and last["a_own"]["pooled"]:
            text += (
                f"; at its end the outcome followed perception with r = {last['a_p']['pooled']['value']:.2f} "
                f"and reasoning with r = {last['a_own']['pooled']['value']:.2f}"
            )
        sentences.append(f"{text}.")
    return sentences


def _capitalised(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:] if sentence[0].isascii() else sentence
