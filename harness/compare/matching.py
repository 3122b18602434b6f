"""What may be compared with what: models by name, predictions by place, and only like with like."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from harness.compare.past import Baseline, BaselineError, Past
from harness.materials.items import MaterialsError
from harness.materials.sets import drawing_of
from harness.study.plan import Plan
from harness.verdicts.judge import Outcome
from harness.verdicts.verdict import AnalysisPlan, Named, Verdict

# None is each claim's own gate, and no arguments; of other numbers, that they are not known.
GATE, ARGUMENTS = "competence_gate", "template_args"
_NUMBERS = (
    "seed",
    "permutations",
    "resamples",
    "twins",
    "shuffle_labels",
    GATE,
)  # of the run's plan; items are part of the materials
FIXED = (*_NUMBERS, "chat_template", ARGUMENTS)  # for every prediction of a run
# Differences of these are named and change nothing.
FREE = (
    *("package", "commit", "python", "machine", "torch", "transformers", "nnsight", "numpy"),
    *("scipy", "device", "batch_size", "dtype"),
)
_HASH = 8  # characters of a hash that are shown


@dataclass(frozen=True, slots=True)
class Made:
    """What a verdict was made with: it can be compared with one made with the same."""

    claim_id: str
    materials: Named
    plan: AnalysisPlan
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Verdict) -> "Made":
        """What the record says."""
        return cls(record.claim_id, record.materials, record.plan, record.provenance)


@dataclass(frozen=True, slots=True)
class Match:
    """A verdict and the one it is compared with; None if the earlier run has none."""

    now: Verdict
    before: Verdict | None

    @property
    def measured(self) -> bool:
        """Whether neither run failed to measure it."""
        outcomes = (self.now.outcome, self.before.outcome if self.before else None)
        return Outcome.NOT_MEASURED not in outcomes


@dataclass(frozen=True, slots=True)
class Place:
    """Which prediction, on what; `measured` unless it came to nothing or is still to come."""

    model: str
    claim_id: str
    prediction_id: str
    criterion: str
    materials: str
    measured: bool = True

    def asks(self, other: "Place") -> bool:
        """Whether it is the same prediction on the same model, whatever the materials are."""
        return astuple(self)[:4] == astuple(other)[:4]


def parse_models(told: Sequence[str]) -> dict[str, str]:
    """`OURS=THEIRS` texts as a mapping.

    Raises:
        BaselineError: If one is not of that form.
    """
    parsed = {}
    for text in told:
        ours, _, theirs = text.partition("=")
        if not ours or not theirs:
            raise BaselineError(
                f"--baseline-model {text!r}: expected OURS=THEIRS, such as ./release-2=mini-qwen."
            )
        parsed[ours] = theirs
    return parsed


def match_models(
    now: Sequence[str], past: Past, told: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Model of this run to model of the earlier one: as told, by name, or the only one left.

    Raises:
        BaselineError: If that leaves a choice, or what was told is not there.
    """
    told = told or {}
    for ours, theirs in told.items():
        if ours not in now or theirs not in past.models:
            missing, there = (ours, now) if ours not in now else (theirs, past.models)
            raise BaselineError(
                f"--baseline-model {ours}={theirs}: there is no model {missing!r}; "
                f"known are {', '.join(there)}."
            )
    found = {n: told.get(n, n) for n in now if n in told or n in past.models}
    left = [n for n in now if n not in found]
    theirs_left = [n for n in past.models if n not in found.values()]
    if not left or not theirs_left:
        return found
    if len(left) == len(theirs_left) == 1:
        return {**found, left[0]: theirs_left[0]}
    raise BaselineError(
        f"{past.name} was run on {', '.join(past.models)}, this on {', '.join(now)}: say which is "
        f"compared with which, as in --baseline-model {left[0]}={theirs_left[0]}."
    )


def check_numbers(plan: Plan, past: Past, shared: bool) -> None:
    """Refuse an earlier run with other numbers of the plan, before anything is measured.

    Raises:
        BaselineError: Naming every number that differs, before and now.
    """
    differing: dict[str, list[str]] = {}
    for name in (*_NUMBERS, *(() if shared else ("items",))):
        before = {r.provenance[name] for r in past.verdicts if name in r.provenance}
        now = getattr(plan, name)
        others = sorted(before - {now}, key=str)
        if others:
            differing[name] = [f"{_option(name)} {old} -> {now}" for old in others]
    if differing:
        remedy = (
            "--baseline-on shared compares on the samples both have, or ask for as many"
            if list(differing) == ["items"]
            else "run with the same, or save a new baseline"
        )
        said = ", ".join(text for texts in differing.values() for text in texts)
        raise BaselineError(f"this run cannot be compared with {past.name}: {said}; {remedy}.")


def check_materials(asked: Sequence[str], past: Past) -> None:
    """Refuse an earlier run on wholly other materials, before anything is measured.

    Args:
        asked: Names of the materials of this run; none are those of each claim.
        past: The earlier run.

    Raises:
        BaselineError: If no materials are common to both.
    """
    before = sorted({r.materials.name for r in past.verdicts if r.materials.name})
    # A set goes on with -crossed or @difficulty; a file crossed by --crossed with -crossed.
    common = [
        b for b in before for name in asked if b == name or b.startswith((f"{name}-", f"{name}@"))
    ]
    if asked and before and not common:
        raise BaselineError(
            f"this run cannot be compared with {past.name}: no materials are common to both "
            f"({', '.join(before)} there, {', '.join(asked)} here); run both with the same "
            "--prompts, or leave --baseline out."
        )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def matches(now: Sequence[Verdict], baseline: Baseline) -> list[Match]:
    """Every verdict of this run with its like in the earlier one."""
    return [Match(verdict, earlier_verdict(place_of(verdict), baseline)) for verdict in now]


def place_of(verdict: Verdict) -> Place:
    """Which prediction a verdict is on."""
    return Place(
        verdict.model.name,
        verdict.claim_id,
        verdict.prediction_id,
        verdict.criterion,
        verdict.materials.name,
        measured=verdict.outcome is not Outcome.NOT_MEASURED,
    )


def earlier_verdict(place: Place, baseline: Baseline) -> Verdict | None:
    """The earlier verdict on a prediction, which may not be measured yet."""
    model = baseline.models.get(place.model)
    if model is None:
        return None
    place = replace(place, model=model)
    alike = [v for v in baseline.past.verdicts if place_of(v).asks(place)]
    same = [v for v in alike if v.materials.name == place.materials]
    if same:
        return same[-1]
    # What was not measured may not know what its materials are called: a file is named by its path.
    unknown = not place.measured or any(v.outcome is Outcome.NOT_MEASURED for v in alike)
    return alike[0] if len(alike) == 1 and unknown else None


def differences(now: Made, before: Made, *, shared: bool = False) -> list[str]:
    """Why two verdicts cannot be compared, a clause each; empty if they can.

    Library versions, device and batch size are no reason. With `shared`, neither is another
    number of items, if the earlier materials can be drawn again and come out as they were.
    """
    found = []
    if now.plan.hash != before.plan.hash:
        changed = ", ".join(_constants(now.plan, before.plan)) or "its constants"
        hashes = _hashes(before.plan.hash, now.plan.hash)
        found.append(f"the plan of {now.claim_id} ({hashes}): {changed}")
    for name in FIXED:
        old, new = before.numbers.get(name), now.numbers.get(name)
        if old != new and (name in (GATE, ARGUMENTS) or None not in (old, new)):
            found.append(f"{_option(name)} {old} -> {new}")
    ours, theirs = (made.materials.facts.get("hash") for made in (now, before))
    if ours != theirs and not (shared and _redrawn(now, before)):
        hashes = _hashes(theirs, ours)
        found.append(f"materials {now.materials.name} ({hashes}): {_materials(now, before)}")
    return found


def _redrawn(now: Made, before: Made) -> bool:
    """Whether the earlier materials are the same named set, with another number of items."""
    name, items = before.materials.name, before.numbers.get("items")
    if name != now.materials.name or items is None:
        return False
    seed, shuffled = before.numbers.get("seed", 0), before.numbers.get("shuffle_labels", 0.0)
    try:
        draw = drawing_of(name)
        if draw is None:
            return False
        again = Plan(seed=seed, shuffle_labels=shuffled).labelled(draw(items, seed))
    except MaterialsError:
        return False
    return again.hash == before.materials.facts.get("hash")


def _materials(now: Made, before: Made) -> str:
    old, new = before.numbers.get("items"), now.numbers.get("items")
    if old != new and None not in (old, new):
        return f"--items {old} -> {new}"
    ours, theirs = now.materials.facts, before.materials.facts
    if ours.get("pairs") != theirs.get("pairs"):
        return f"{theirs.get('pairs')} -> {ours.get('pairs')} pairs"
    if ours.get("template_hash") != theirs.get("template_hash"):
        return "other templates"
    return "other prompts under the same templates"


def _constants(now: AnalysisPlan, before: AnalysisPlan) -> list[str]:
    old, new = (dict(_flat(plan.constants)) for plan in (before, now))
    changed = []
    for name in sorted({*old, *new}):
        if name not in new:
            changed.append(f"{name} {old[name]} -> gone")
        elif name not in old:
            changed.append(f"{name} new, {new[name]}")
        elif old[name] != new[name]:
            changed.append(f"{name} {old[name]} -> {new[name]}")
    return changed


def _flat(constants: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in constants.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _hashes(before: str | None, now: str | None) -> str:
    return f"hash {(before or 'none')[:_HASH]} -> {(now or 'none')[:_HASH]}"


def model_changes(
    now: Sequence[Verdict], before: Sequence[Verdict], models: Mapping[str, str]
) -> list[str]:
    """What became of weights and chat templates, where the verdicts alone would not say it.

    Args:
        now: The later verdicts.
        before: The earlier ones.
        models: The earlier model for a later one, by name.
    """
    ours, theirs = ({v.model.name: v.model.facts for v in records} for records in (now, before))
    found = []
    for name, earlier in models.items():
        new, old = ours.get(name, {}), theirs.get(earlier, {})
        same = any(
            new.get(what) is not None and new.get(what) == old.get(what)
            for what in ("weights", "content")
        )
        if new.get("template") != old.get("template"):
            hashes = _hashes(old.get("template"), new.get("template"))
            also = ", the weights are the same" if same else ""
            found.append(f"{name}: the chat template changed ({hashes}){also}")
        elif same and name != earlier:
            found.append(f"{name}: the same weights as {earlier}")
    return found


def free_differences(now: Sequence[Verdict], before: Sequence[Verdict]) -> list[str]:
    """Libraries, machine, device and batch size that differ: named, and no reason to refuse."""
    found = []
    for name in FREE:
        old, new = (_values(records, name) for records in (before, now))
        if old and new and old != new:
            found.append(f"{name} {'/'.join(old)} -> {'/'.join(new)}")
    return found


def _values(records: Sequence[Verdict], name: str) -> list[str]:
    found = (r.model.facts if name == "dtype" else r.provenance for r in records)
    return list(dict.fromkeys(str(of[name]) for of in found if name in of))
