"""The report's opening paragraph: sentences that the verdicts' numbers make up, and no others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.verdicts import CRITERIA, distinct
from harness.verdicts import typeset
from harness.verdicts.evidence import Effect
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import Verdict
from harness.verdicts.wording import moved_in_words

if TYPE_CHECKING:
    from harness.report.parts import ClaimSection, OnModel, Parting

NO_BREAK = "\N{NO-BREAK SPACE}"


def summary(
    records: Sequence[Verdict],
    claims: "Sequence[ClaimSection]",
    partings: "Sequence[Parting]",
    models: Sequence[str],
) -> list[str]:
    """A sentence an item."""
    if not records:
        return []
    said = [
        f"{typeset.plural(len(claims), 'claim')} on {typeset.plural(len(models), 'model')} "
        f"({typeset.listed(list(models))}), {typeset.plural(len(records), 'prediction')} judged."
    ]
    if any(record.provenance.get("stopped") for record in records):
        said.append("The run was stopped before its end: what it had not come to is missing.")
    for criterion in CRITERIA:
        words = [c.outcome for k in claims for c in k.cells if c.criterion == criterion]
        words = [w for w in words if w]
        if words:
            counts = {str(o): words.count(str(o)) for o in Outcome}
            parts = [f"{n} {word}" for word, n in counts.items() if n]
            said.append(
                f"Under the {criterion} criterion, of {len(words)} pairs of claim and model: "
                f"{typeset.listed(parts)}."
            )
    both = sum(_both_judged(m) for k in claims for m in k.models)
    if both:
        said.append(
            f"In {len(partings)} of the {both} pairs judged by both, the published criterion "
            "supports the claim and the controlled one does not."
        )
    return [*said, *steering(records)]


def _both_judged(on_model: "OnModel") -> bool:
    return all(cell.outcome for cell in on_model.cells)


@dataclass(frozen=True, slots=True)
class Steered:
    """A verdict on steering, and the tasks it is about."""

    verdict: Verdict
    toward: str
    away: str

    def change(self, task: str) -> Effect | None:
        """What happened to a task; None if that is not known, with its interval."""
        way = "toward" if task == self.toward else "away"
        evidence = self.verdict.evidence_of(f"steering.{way}.{task}")
        effect = evidence.effect if evidence else None
        if effect is None or not effect.known or effect.interval is None:
            return None
        return effect if all(map(math.isfinite, effect.interval)) else None


def steering(verdicts: Sequence[Verdict]) -> list[str]:
    """What adding the direction did to either task, a sentence a task steered towards.

    A task is helped or hurt as `moved_in_words` says: the reading that the verdict's own notes
    give.
    """
    found: dict[str, list[Steered]] = {}
    for verdict in verdicts:
        for evidence in verdict.evidence:
            kind, _, tasks = evidence.key.partition("steering.contrast.")
            if tasks and not kind:
                toward, _, away = tasks.partition(".")
                found.setdefault(toward, []).append(Steered(verdict, toward, away))
    return [_steered(toward, of_task) for toward, of_task in found.items()]


def _steered(toward: str, found: Sequence[Steered]) -> str:
    several = len({s.verdict.materials.name for s in found}) > 1
    places = [
        f"on {s.verdict.model.name}" + (f", {s.verdict.materials.name}," if several else "")
        for s in found
    ]
    clauses = [_on_model(place, s) for place, s in zip(places, found, strict=True)]
    words: dict[str, list[str]] = {}
    for place, s in zip(places, found, strict=True):
        words.setdefault(s.verdict.outcome, []).append(place.rstrip(","))
    verdicts = typeset.listed([f"{word} {typeset.listed(on)}" for word, on in words.items()])
    return (
        f"Steering towards {toward} (change of the logit difference in nats, 95 % interval): "
        f"{'; '.join(clauses)}. That it lifts {toward} against {found[0].away}, beyond random "
        f"directions and at no loss of {toward}, is {verdicts}."
    )


def _on_model(place: str, steered: Steered) -> str:
    tasks = (steered.toward, steered.away)
    known = [(task, effect) for task in tasks if (effect := steered.change(task))]
    if steered.verdict.outcome is Outcome.INCONCLUSIVE or len(known) < len(tasks):
        return f"{place} it was not judged"
    numbers = ", ".join(f"{task} {_number_text(effect)}" for task, effect in known)
    verbs = [moved_in_words(*effect.interval) for _, effect in known if effect.interval]
    return f"{place} it {_in_words(verbs, tasks)} ({numbers})"


def _number_text(effect: Effect) -> str:
    """The value and its interval, which no line may break."""
    value = typeset.number(effect.value, signed=True)
    return f"{value} {typeset.interval_text(effect.interval, signed=True)}".replace(" ", NO_BREAK)


def _in_words(verbs: list[str], tasks: tuple[str, str]) -> str:
    if len(distinct(verbs)) == 1:
        return {"does not move": "moves neither task"}.get(verbs[0], f"{verbs[0]} both tasks")
    return " and ".join(f"{v} {t}" for v, t in zip(verbs, tasks, strict=True))
