"""The first screen: the title, what may not be read, and a sentence a model, all from verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.verdicts import CRITERIA, distinct
from harness.verdicts import typeset
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import Verdict

if TYPE_CHECKING:
    from harness.report.instrument import InstrumentCheck
    from harness.report.parts import ClaimSection

INSTRUMENT = "h0"  # the claim that the suite can measure the model at all
NAMED = 3  # models in a title, and reasons in a warning
NOT_CHECKED = "no reference model was judged in this run"


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, its first words in bold."""

    bold: str
    rest: str

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.bold} {self.rest}"


def title_of(records: Sequence[Verdict]) -> str:
    """`Recall and reasoning in mini-qwen`: the classes that most claims compare, and the models."""
    models = distinct(r.model.name for r in records)
    where = typeset.listed(models) if 0 < len(models) <= NAMED else f"{len(models)} models"
    tasks = _tasks(records)
    if tasks:
        return f"{tasks[0].capitalize()} and {tasks[1]} in {where}"
    return f"Claims about {where}" if models else "Claims about transformers"


def _tasks(records: Sequence[Verdict]) -> tuple[str, ...]:
    """The two classes that all materials hold; nothing if there are more or fewer."""
    counts = [r.materials.facts.get("n") for r in records]
    held = [tuple(n) for n in counts if isinstance(n, dict)]
    common = tuple(t for t in (held[0] if held else ()) if all(t in tasks for tasks in held))
    return common if len(common) == 2 else ()


def warnings(records: Sequence[Verdict]) -> list[Line]:
    """What may not be read, before anything is: unfit instruments and runs that were stopped."""
    said = []
    for model in distinct(r.model.name for r in records):
        of_model = [r for r in records if r.claim_id == INSTRUMENT and r.model.name == model]
        sets = distinct(r.materials.name for r in of_model)
        # What is unfit on the only prompts that it was tried on is unfit for all verdicts.
        several = len([name for name in sets if name]) > 1
        for name in sets:
            found = [r for r in of_model if r.materials.name == name]
            said += _unfit(found, f" on {name}" if several and name else "")
    if any(record.provenance.get("stopped") for record in records):
        said.append(
            Line("The run was stopped before its end:", "what it had not come to is missing.")
        )
    return said


def _unfit(records: Sequence[Verdict], on: str) -> list[Line]:
    """The sentence for one model on one set of materials; nothing if the instrument is fit.

    `on` names the materials where the sentence holds for no others.
    """
    failed = [r for r in records if r.outcome is Outcome.REFUTED]
    if not failed:
        return [
            Line(
                f"Whether {record.model.name}{on} can be measured is not known:",
                f"{INSTRUMENT} was not measured ({record.reason.rstrip('.')}).",
            )
            for record in records
            if record.outcome is Outcome.NOT_MEASURED
        ][:1]
    first = failed[0]
    reasons = [r.deciding.text.rstrip(".") for r in failed[:NAMED]]
    more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    return [
        Line(
            f"Read no verdict on {first.model.name}{on} as a statement about the model,",
            f"not even a supported one: {INSTRUMENT} is refuted ({'; '.join(reasons)}{more}).",
        )
    ]


def sentences(claims: "Sequence[ClaimSection]", models: Sequence[str]) -> list[Line]:
    """A sentence a model: what each criterion says of the statements, the instrument's left out."""
    rows = [row for claim in claims for row in claim.rows]
    judged = [row for row in rows if row.claim_id != INSTRUMENT] or rows
    said = []
    for model in models:
        parts = []
        for criterion in reversed(CRITERIA):  # the controlled one is the stricter
            words: dict[str, list[str]] = {}
            for row in judged:
                for cell in row.cells:
                    if (cell.model, cell.criterion) == (model, criterion) and cell.outcome:
                        words.setdefault(cell.outcome, []).append(row.name)
            if words:
                parts.append(_counted(criterion, words))
        if parts:
            said.append(Line(f"{model}.", " ".join(parts)))
    return said


def _counted(criterion: str, words: dict[str, list[str]]) -> str:
    """`Controlled: 5 supported (h1, h2, ...), 4 refuted (h4, ...).`."""
    found = [
        f"{len(words[o])} {o} ({typeset.listed(words[o])})" for o in map(str, Outcome) if o in words
    ]
    return f"{criterion.capitalize()}: {', '.join(found)}."


def instrument_line(checks: "Sequence[InstrumentCheck]") -> Line:
    """How many verdicts on reference models are as known."""
    total = sum(len(check.verdicts) for check in checks)
    if not total:
        return Line("Instrument check:", f"{NOT_CHECKED} (--no-controls).")
    right = sum(check.right for check in checks)
    undecided = sum(check.undecided for check in checks)
    of_these = f" ({undecided} of them undecided)" if undecided else ""
    models = distinct(name for check in checks for name in check.models)
    on = "a model" if len(models) == 1 else "models"
    left = sum(check.open for check in checks)
    of_these += f", {left} that must be supported left open" if left else ""
    wrong = "" if right + left == total else " Read no other verdict before you know why."
    return Line(
        "Instrument check:",
        f"{right} of {typeset.plural(total, 'verdict')} as known{of_these}, on {on} whose "
        f"circuits are known ({typeset.listed(models)}).{wrong}",
    )
