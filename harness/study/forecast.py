"""How long a run takes, before it measures anything and while it goes on."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.models.architecture import Architecture
from harness.study.cost import PARAMETERS, PREDICTIONS, Sizes, Work, works_of
from harness.study.own_prompts import OwnPrompts, works_on
from harness.study.plan import Plan
from harness.study.speed import Speed

# Shares of the planned time: what the plan counts for beside what the run has shown. The speed of a
# machine changes; whether a model answers does not.
TRUST, LIGHT = 0.10, 0.01
# Of its plan: an inconclusive prediction that took less was ended by a gate, any other was stored.
STOPPED, STORED = 0.5, 0.02
STATISTICS = {"neuron": 1e-3, "head": 1e-3}  # seconds a component and 1,000 permutations
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
        materials: What it asks, in which predictions stand or fall together: all of those on
            questions that the model does not answer end at a gate.
        passes: Prompts that pass through all layers, of measurements that no earlier one makes.
    """

    seconds: float
    materials: str = ""
    passes: float = 0.0


def measurements(
    asked: Sequence[Asked], plan: Plan, architecture: Architecture
) -> dict[str, tuple[Work, ...]]:
    """What each prediction measures that no earlier one does, by node."""
    done: set[tuple[str, str, str]] = set()
    found = {}
    for each in asked:
        new = {}
        for work in _works(each, plan, architecture):
            key = work.kind, work.materials, work.what
            if key not in done:
                new[key] = work
        found[each.node] = tuple(new.values())
        done |= new.keys()
    return found


def _works(asked: Asked, plan: Plan, architecture: Architecture) -> tuple[Work, ...]:
    sizes = Sizes.of(plan, architecture, _kind(asked))
    if asked.own is None:
        return works_of(asked.name, sizes)
    return works_on(asked.own, asked.name, sizes)


def _kind(asked: Asked) -> str:
    return " ".join(_WORDS.findall(asked.parameters))


def planned(
    asked: Sequence[Asked], plan: Plan, architecture: Architecture, speed: Speed
) -> dict[str, Planned]:
    """What each prediction on one model takes, by node; in the order in which they run."""
    found = {}
    measured = measurements(asked, plan, architecture)
    for each in asked:
        works = _works(each, plan, architecture)
        materials = works[-1].materials.partition("-")[0] if works else ""
        new = measured[each.node]
        seconds = sum(map(speed.seconds, new)) + LEAST
        seconds += _statistics(each, plan, architecture) if works else 0.0
        passes = sum(w.prompts * w.passes for w in new)
        found[each.node] = Planned(seconds, materials, passes)
    return found


def _statistics(asked: Asked, plan: Plan, architecture: Architecture) -> float:
    """Seconds of statistics: most are permutations of every component of a kind."""
    kind = next((k for k in STATISTICS if k in f"{asked.name} {asked.parameters}"), "")
    count = {
        "neuron": architecture.layers * architecture.neurons,
        "head": architecture.layers * architecture.heads,
    }
    return STATISTICS.get(kind, 0.0) * count.get(kind, 0) * plan.permutations / 1000


@dataclass
class Forecast:
    """Seconds that are left of a run: the plan, at the pace of what is over.

    Predictions on the same materials stand or fall together: where some of them ended at a gate, or
    were stored, as large a share of the others is taken to.

    Attributes:
        planned: By node.
        over: Seconds that predictions took, by node.
        inconclusive: Those that are.
    """

    planned: Mapping[str, Planned]
    over: dict[str, float] = field(default_factory=dict)
    inconclusive: set[str] = field(default_factory=set)

    @property
    def total(self) -> float:
        """Seconds planned for all."""
        return sum(p.seconds for p in self.planned.values())

    def end(self, node: str, seconds: float, *, inconclusive: bool = False) -> None:
        """A prediction is over."""
        if node in self.planned:
            self.over[node] = seconds
            self.inconclusive |= {node} if inconclusive else set()

    def left(self, node: str = "", seconds: float = 0.0) -> float:
        """Seconds left.

        Args:
            node: What runs now.
            seconds: Since when.
        """
        left = 0.0
        for name, plan in self.planned.items():
            if name not in self.over:
                expected = plan.seconds * self._pace() * self._asked_to_its_end(plan.materials)
                left += max(0.0, expected - (seconds if name == node else 0.0))
        return left

    def _pace(self) -> float:
        """Seconds for each planned one, of what was measured to its end."""
        whole = [n for n in self.over if self.planned[n].passes and not self._stopped(n)]
        trust = TRUST * self.total
        took, plan = (sum(of(n) for n in whole) for of in (self.over.__getitem__, self._seconds))
        return (took + trust) / (plan + trust) if plan + trust else 1.0

    def _asked_to_its_end(self, materials: str) -> float:
        """The share of the planned time on these materials that no gate and no store saved."""
        alike = [n for n in self.over if self.planned[n].materials == materials]
        stopped = sum(self._seconds(n) for n in alike if self._stopped(n))
        return 1 - stopped / (sum(map(self._seconds, alike)) + LIGHT * self.total or 1.0)

    def _stopped(self, node: str) -> bool:
        """Whether a prediction ended long before its measurements could."""
        least = STOPPED if node in self.inconclusive else STORED
        return self.over[node] < least * self._seconds(node)

    def _seconds(self, node: str) -> float:
        return self.planned[node].seconds


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
