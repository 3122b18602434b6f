"""How long a run takes, before it measures anything and while it goes on."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.materials.cell_sets import whole_cells
from harness.models.architecture import Architecture
from harness.study.cost import (
    OTHERS,
    PARAMETERS,
    PREDICTIONS,
    PROCESSES,
    Sizes,
    Work,
    ends_early,
    works_of,
)
from harness.study.difficulty import GATES
from harness.study.own_prompts import OwnPrompts, works_on
from harness.study.plan import Plan
from harness.study.speed import Speed

# Shares of the planned time: what the plan counts for beside what the run has shown. The speed of a
# machine changes; whether a model answers does not.
TRUST, LIGHT = 0.10, 0.01
# Of its plan: an inconclusive prediction that took less was ended by a gate, any other was stored.
STOPPED, STORED = 0.5, 0.02
# Other circuits are measured where the model meets the requirements. On embedded and pretrained
# models 7 of 100 predictions came to that, and 7 of the 30 that no gate ended: between the two.
# That share counts as much as so many predictions of the run itself.
COMPARED, COUNTS = 1 / 8, 4
STATISTICS = {"neuron": 4e-4, "head": 1e-3}  # seconds a component and 1,000 permutations
LEAST = 0.3  # seconds of a prediction that measures nothing
_WORDS = re.compile(r"layer|head|neuron|retrieval|composing")


@dataclass(frozen=True, slots=True)
class Asked:
    """A prediction of a run: a test.

    Attributes:
        node: The test's id.
        name: Of its function.
        parameters: Beside model and prompts, such as `head` or `retrieval-head`.
        model: The model's name.
        own: The prompt file that it is on; None for a set that ships.
    """

    node: str
    name: str
    parameters: str
    model: str
    own: OwnPrompts | None = None


def asked_of(node: str, models: Iterable[str], own: Iterable[OwnPrompts] = ()) -> Asked:
    """A prediction by the id of its test.

    Args:
        node: Such as `test_h1_layers.py::test_x[mini-qwen-cells-head]`.
        models: Names of the run's models, longest first.
        own: The run's prompt files, the longest name first.
    """
    _, _, test = node.partition("::")
    name, _, parameters = test.partition("[")
    parameters = parameters.removesuffix("]")
    model = next((m for m in models if f"{parameters}-".startswith(f"{m}-")), "")
    left = parameters.removeprefix(model)
    file = next((o for o in own if f"{left}-".startswith(f"-{o.name}-")), None)
    return Asked(node, name, left.removeprefix(f"-{file.name}") if file else left, model, file)


def all_asked() -> list[Asked]:
    """Every prediction of the claims that ship."""
    return [
        Asked(f"{name}[{parameters}]", name, parameters, "")
        for name in PREDICTIONS
        for parameters in PARAMETERS.get(name, ("",))
    ]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a prediction is planned to take.

    Attributes:
        group: Materials and process: such predictions mostly end at the same gates.
        passes: Prompts that pass through all layers, of measurements that no earlier one makes.
        twins: Seconds of these for untrained twins, which are left out where the model itself does
            not meet the requirements: then the next prediction of the group may measure them.
        others: The same for other circuits, which no other prediction measures.
    """

    seconds: float
    group: str = ""
    passes: float = 0.0
    twins: float = 0.0
    others: float = 0.0


def measurements(
    asked: Sequence[Asked], plan: Plan, architecture: Architecture, unmet: Collection[str] = ()
) -> dict[str, tuple[Work, ...]]:
    """What each prediction measures that no earlier one does, by node.

    Args:
        asked: On one model, in the order in which they run.
        plan: Of the run.
        architecture: Of the model.
        unmet: Gates of the cells that it is known not to meet; see `Sizes`.
    """
    done: set[tuple[str, str, str]] = set()
    found = {}
    for each in asked:
        new = {}
        for work in _works(each, _sizes(each, plan, architecture, unmet)):
            key = work.kind, work.materials, work.what
            if key not in done:
                new[key] = work
        found[each.node] = tuple(new.values())
        done |= new.keys()
    return found


def _works(asked: Asked, sizes: Sizes) -> tuple[Work, ...]:
    if asked.own is None:
        return works_of(asked.name, sizes)
    return works_on(asked.own, asked.name, sizes)


def _sizes(asked: Asked, plan: Plan, architecture: Architecture, unmet: Collection[str]) -> Sizes:
    kind = " ".join(_WORDS.findall(asked.parameters))
    return Sizes.of(plan, architecture, kind, () if asked.own else unmet)


def planned(
    asked: Sequence[Asked],
    plan: Plan,
    architecture: Architecture,
    speed: Speed,
    unmet: Collection[str] = (),
) -> dict[str, Planned]:
    """What each prediction on one model takes, by node; see `measurements`."""
    found = {}
    measured = measurements(asked, plan, architecture, unmet)
    for each in asked:
        sizes, new = _sizes(each, plan, architecture, unmet), measured[each.node]
        whole = _works(each, replace(sizes, unmet=()))
        edits = any(work.kind in ("sweep", "gradients") for work in whole)
        group = _group(each, whole, edits=edits)
        seconds = sum(map(speed.seconds, new))
        if not ends_early(each.name, sizes):
            contrasts = group.startswith("cells") and not edits and not _again(whole)
            seconds += LEAST + (_statistics(each, plan, architecture) if contrasts else 0.0)
        passes = sum(w.prompts * w.passes for w in new)
        twins = sum(speed.seconds(w) for w in new if w.what.endswith("twins"))
        others = sum(speed.seconds(w) for w in new if w.what.endswith(OTHERS) and not plan.full)
        found[each.node] = Planned(seconds, group, passes, twins, others)
    return found


def _group(asked: Asked, works: Sequence[Work], *, edits: bool) -> str:
    """Such as `cells composing edited`: materials, processes, and whether components are edited."""
    if not works:
        return ""
    processes = [p for p in PROCESSES if p in f"{asked.name} {asked.parameters}"]
    what = [works[-1].materials.partition("-")[0], *processes, *(["edited"] if edits else [])]
    return " ".join(what)


def _again(works: Iterable[Work]) -> bool:
    """Whether a set is drawn again, which takes no same-process contrasts."""
    return any(work.what.endswith("again") for work in works)


def _statistics(asked: Asked, plan: Plan, architecture: Architecture) -> float:
    """Seconds of statistics: most are same-process contrasts of every component of a kind."""
    kind = next((k for k in STATISTICS if k in f"{asked.name} {asked.parameters}"), "")
    count = {
        "neuron": architecture.layers * architecture.neurons,
        "head": architecture.layers * architecture.heads,
    }
    return STATISTICS.get(kind, 0.0) * count.get(kind, 0) * plan.permutations / 1000


@dataclass
class Forecast:
    """Seconds that are left of a run: the plan, at the pace of what is over.

    Predictions of a group mostly end alike: where some of them ended at a gate that the plan does
    not know to be unmet, or were stored, as large a share of the others is taken to.

    Attributes:
        planned: By node.
        over: Seconds that predictions took, by node.
        inconclusive: Those that are.
        compared: Those that might have measured other circuits, and whether they did.
    """

    planned: dict[str, Planned]
    over: dict[str, float] = field(default_factory=dict)
    inconclusive: set[str] = field(default_factory=set)
    compared: dict[str, bool] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds planned for all."""
        return sum(p.seconds for p in self.planned.values())

    def end(
        self,
        node: str,
        seconds: float,
        *,
        inconclusive: bool = False,
        twins: bool = True,
        others: bool = True,
    ) -> None:
        """A prediction is over; whether it measured untrained twins, and other circuits."""
        if node in self.planned:
            self.over[node] = seconds
            self.inconclusive |= {node} if inconclusive else set()
            if not twins and self.planned[node].twins:
                self._pass_on(node)
            if self.planned[node].others:
                self.compared[node] = others
                if not others:
                    own = self.planned[node]
                    self.planned[node] = replace(own, seconds=own.seconds - own.others, others=0.0)

    def _pass_on(self, node: str) -> None:
        """Plan the twins of a prediction in the next one of its group."""
        own, twins = self.planned[node], self.planned[node].twins
        self.planned[node] = replace(own, seconds=own.seconds - twins, twins=0.0)
        for name, plan in self.planned.items():
            if name not in self.over and plan.group == own.group:
                both = replace(plan, seconds=plan.seconds + twins, twins=plan.twins + twins)
                self.planned[name] = both
                return

    def left(self, node: str = "", seconds: float = 0.0) -> float:
        """Seconds left.

        Args:
            node: What runs now.
            seconds: Since when.
        """
        left, spared = 0.0, 1 - self._others()
        for name, plan in self.planned.items():
            if name not in self.over:
                expected = plan.seconds - spared * plan.others
                expected *= self._pace() * self._asked_to_its_end(plan.group)
                left += max(0.0, expected - (seconds if name == node else 0.0))
        return left

    def _others(self) -> float:
        """The share of predictions that will measure other circuits, of those that might."""
        judged = [done for node, done in self.compared.items() if not self._stopped(node)]
        return (COUNTS * COMPARED + sum(judged)) / (COUNTS + len(judged))

    def _pace(self) -> float:
        """Seconds for each planned one, of what was measured to its end."""
        whole = [n for n in self.over if self.planned[n].passes and not self._stopped(n)]
        trust = TRUST * self.total
        took, plan = (sum(of(n) for n in whole) for of in (self.over.__getitem__, self._seconds))
        return (took + trust) / (plan + trust) if plan + trust else 1.0

    def _asked_to_its_end(self, group: str) -> float:
        """The share of the planned time of this group that no gate and no store saved."""
        alike = [n for n in self.over if self.planned[n].group == group]
        stopped = sum(self._seconds(n) for n in alike if self._stopped(n))
        return 1 - stopped / (sum(map(self._seconds, alike)) + LIGHT * self.total or 1.0)

    def _stopped(self, node: str) -> bool:
        """Whether a prediction ended long before its measurements could."""
        least = STOPPED if node in self.inconclusive else STORED
        return self.over[node] < least * self._seconds(node)

    def _seconds(self, node: str) -> float:
        return self.planned[node].seconds


def gates_of(record: Mapping[str, Any]) -> dict[str, bool]:
    """Whether gates of the cells are met, by name, as far as a verdict on plain cells says it."""
    whole = whole_cells(record["materials"]["name"])
    if whole is None or whole[0].crossed:
        return {}
    found = {gate["name"].removesuffix(" accuracy"): gate["met"] for gate in record["gates"]}
    return {name: met for name, met in found.items() if name in GATES}


def rough(seconds: float) -> str:
    """`about 40 s`, `about 12 min`, `about 2.5 h`: an estimate knows no more digits."""
    if seconds < 90:
        return f"about {max(10 * round(seconds / 10), 10)} s"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 90 else f"about {minutes / 60:.1f} h"


def at_speed(seconds: float, speed: Speed) -> str:
    """`about 4 h here`; beside other work also what an idle machine would take."""
    if not speed.busy:
        return f"{rough(seconds)} here"
    alone = rough(seconds * speed.share)
    return f"{rough(seconds)} here beside other work, {alone} without it"
