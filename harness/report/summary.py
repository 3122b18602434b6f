"""The report's opening paragraph: sentences that the verdicts' numbers make up, and no others."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.report import typeset
from harness.report.verdicts import CRITERIA, distinct
from harness.verdicts.verdict import Outcome, moved_in_words

if TYPE_CHECKING:
    from harness.report.parts import Claim, OnModel, Parting

Record = dict[str, Any]

NO_BREAK = "\N{NO-BREAK SPACE}"
# How h7 names the evidence of steering: the task steered towards, then the one steered away from.
STEERED = re.compile(r"(?P<toward>.+) minus (?P<away>.+), change of logit difference")


def summary(
    records: Sequence[Record],
    claims: "Sequence[Claim]",
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
    if any(record["provenance"].get("stopped") for record in records):
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


def steering(records: Sequence[Record]) -> list[str]:
    """What adding the direction did to either task, a sentence a task steered towards.

    A task is helped or hurt as `moved_in_words` says: the reading that the verdict's own notes
    give.
    """
    found: dict[str, list[tuple[Record, re.Match[str]]]] = {}
    for record in records:
        for evidence in record["evidence"]:
            match = STEERED.fullmatch(evidence["name"])
            if match and evidence["decisive"]:
                found.setdefault(match["toward"], []).append((record, match))
                break
    return [_steered(toward, pairs) for toward, pairs in found.items()]


def _steered(toward: str, found: Sequence[tuple[Record, re.Match[str]]]) -> str:
    several = len({r["materials"]["name"] for r, _ in found}) > 1
    places = [
        f"on {r['model']['name']}" + (f", {r['materials']['name']}," if several else "")
        for r, _ in found
    ]
    clauses = [_on_model(place, r, m) for place, (r, m) in zip(places, found, strict=True)]
    words: dict[str, list[str]] = {}
    for place, (record, _) in zip(places, found, strict=True):
        words.setdefault(record["outcome"], []).append(place.rstrip(","))
    away = found[0][1]["away"]
    verdicts = typeset.listed([f"{word} {typeset.listed(on)}" for word, on in words.items()])
    return (
        f"Steering towards {toward} (change of the logit difference in nats, 95 % interval): "
        f"{'; '.join(clauses)}. That it lifts {toward} against {away}, beyond random directions "
        f"and at no loss of {toward}, is {verdicts}."
    )


def _on_model(place: str, record: Record, match: re.Match[str]) -> str:
    tasks = (match["toward"], match["away"])
    effects = [_change(record, task) for task in tasks]
    if record["outcome"] == Outcome.INCONCLUSIVE or None in effects:
        return f"{place} it was not judged"
    known = [(task, e) for task, e in zip(tasks, effects, strict=True) if e]
    numbers = ", ".join(f"{task} {_number_text(e)}" for task, e in known)
    words = _in_words([moved_in_words(*effect["interval"]) for _, effect in known], tasks)
    return f"{place} it {words} ({numbers})"


def _number_text(effect: dict[str, Any]) -> str:
    """The value and its interval, which no line may break."""
    value = typeset.number(effect["value"], signed=True)
    return f"{value} {typeset.interval(effect['interval'], signed=True)}".replace(" ", NO_BREAK)


def _change(record: Record, task: str) -> dict[str, Any] | None:
    name = f"{task}, change of logit difference"
    effects = [e["effect"] for e in record["evidence"] if e["name"] == name]
    known = [e for e in effects if e["interval"] and all(_number(b) for b in e["interval"])]
    return known[0] if known and _number(known[0]["value"]) else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _in_words(verbs: list[str], tasks: tuple[str, str]) -> str:
    if len(distinct(verbs)) == 1:
        return {"does not move": "moves neither task"}.get(verbs[0], f"{verbs[0]} both tasks")
    return " and ".join(f"{v} {t}" for v, t in zip(verbs, tasks, strict=True))
