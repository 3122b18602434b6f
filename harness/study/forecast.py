"""How long a run takes, before it measures anything and while it goes on."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.materials.cell_sets import whole_cells
from harness.materials.cells import DEMONSTRATED
from harness.models.architecture import Architecture
from harness.study.cost import PARAMETERS, PREDICTIONS, Sizes, Work, ends_early, works_of
from harness.study.difficulty import CROSSED, GATES
from harness.study.own_prompts import OwnPrompts, works_on
from harness.study.plan import Plan
from harness.study.speed import Speed

TRUST = 0.10  # share of the planned time that the plan counts for beside what the run has shown
SELDOM = 1 / 50  # share of what is planned for later: the two models that ship came to none of it
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
    """Seconds that a prediction is planned to take, of what no earlier one measures.

    Attributes:
        seconds: Of what is needed, for all that is known.
        later: More of them, which are seldom needed; see `cost.LATER`.
        twins: Of the first, those for untrained twins, which are left out where the model itself
            does not meet the requirements: then the next prediction with these twins needs them.
        shared: The materials and names of all of its twins.
    """

    seconds: float
    later: float = 0.0
    twins: float = 0.0
    shared: frozenset[tuple[str, str]] = frozenset()


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
    done: set[tuple[str, str, str, bool]] = set()
    found = {}
    for each in asked:
        new = {}
        for work in _works(each, _sizes(each, plan, architecture, unmet)):
            key = work.kind, work.materials, work.what
            if not {(*key, False), (*key, work.later)} & done:
                new[*key, work.later] = work
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
        later = sum(speed.seconds(w) for w in new if w.later and not plan.full)
        seconds = sum(map(speed.seconds, new)) - later
        twins = sum(speed.seconds(w) for w in new if _of_twins(w))
        if not ends_early(each.name, sizes):
            seconds += LEAST + _statistics(each, whole, plan, architecture)
        shared = frozenset((w.materials, w.what) for w in whole if _of_twins(w))
        found[each.node] = Planned(seconds, later, twins, shared)
    return found


def _of_twins(work: Work) -> bool:
    return work.what.endswith("twins")


def _statistics(
    asked: Asked, works: Sequence[Work], plan: Plan, architecture: Architecture
) -> float:
    """Seconds of statistics: most are same-process contrasts of every component of a kind.

    A claim that edits components, or draws its set again, takes none.
    """
    others = any(w.kind in ("sweep", "gradients") or w.what.endswith("again") for w in works)
    if not works or others or not works[-1].materials.startswith("cells"):
        return 0.0
    kind = next((k for k in STATISTICS if k in f"{asked.name} {asked.parameters}"), "")
    count = {
        "neuron": architecture.layers * architecture.neurons,
        "head": architecture.layers * architecture.heads,
    }
    return STATISTICS.get(kind, 0.0) * count.get(kind, 0) * plan.permutations / 1000


@dataclass
class Forecast:
    """Seconds that are left of a run: the plan, in the ratio of what is over to its own plan.

    Attributes:
        planned: By node.
        over: Seconds that predictions took, by node; None where they tell no pace, because the
            model was loaded meanwhile or all was stored.
    """

    planned: dict[str, Planned]
    over: dict[str, float | None] = field(default_factory=dict)

    def end(self, node: str, seconds: float | None) -> None:
        """A prediction is over."""
        if node in self.planned:
            self.over[node] = seconds
            own = self.planned[node]
            if seconds is not None and seconds < own.seconds - own.twins / 2:
                self._pass_on(node)

    def _pass_on(self, node: str) -> None:
        """Plan the twins of a prediction, which did without, in the next one that has them."""
        own = self.planned[node]
        self.planned[node] = replace(own, seconds=own.seconds - own.twins, twins=0.0)
        for name, plan in self.planned.items():
            if name not in self.over and plan.shared & own.shared:
                seconds, twins = plan.seconds + own.twins, plan.twins + own.twins
                self.planned[name] = replace(plan, seconds=seconds, twins=twins)
                return

    def left(self, running: Mapping[str, float] | None = None) -> float:
        """Seconds left.

        Args:
            running: What predictions that run now have taken so far, by node.
        """
        running = running or {}
        told = [(self.planned[n], took) for n, took in self.over.items() if took is not None]
        done = [(plan, plan.later if _came_to_it(plan, took) else 0.0) for plan, took in told]
        later = _ratio(
            sum(came for _, came in done),
            sum(plan.later for plan, _ in done),
            sum(plan.later for plan in self.planned.values()),
            SELDOM,
        )
        expected = {
            node: plan.seconds
            + plan.later * (1.0 if _came_to_it(plan, running.get(node, 0.0)) else later)
            for node, plan in self.planned.items()
        }
        pace = _ratio(
            sum(took for _, took in told),
            sum(plan.seconds + came for plan, came in done),
            sum(expected.values()),
        )
        return sum(
            max(0.0, pace * seconds - running.get(node, 0.0))
            for node, seconds in expected.items()
            if node not in self.over
        )


def _came_to_it(plan: Planned, seconds: float) -> bool:
    """Whether a prediction measured what was planned for later, for the time that it took."""
    return seconds > plan.seconds + plan.later / 2


def _ratio(taken: float, planned: float, all_planned: float, before: float = 1.0) -> float:
    """What was taken of what was planned; beside it counts what was thought before the run."""
    weight = TRUST * all_planned
    return (taken + before * weight) / (planned + weight) if planned + weight else before


def gates_of(record: Mapping[str, Any]) -> dict[str, bool]:
    """Whether gates of the cells are met, by name, as far as a verdict on the cells says it."""
    whole = whole_cells(record["materials"]["name"])
    if whole is None:
        return {}
    short = re.compile(r" accuracy$| to (search|judge) on$")
    found = {short.sub("", gate["name"]): gate["met"] for gate in record["gates"]}
    if whole[0].crossed:
        answered = [met for name, met in found.items() if name in DEMONSTRATED]
        return {CROSSED: all(answered)} if answered else {}
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
