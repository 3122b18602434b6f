"""What a run will take: said once a model's speed is known, and kept up to date."""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import pytest

from harness.materials.cells import DEMONSTRATED
from harness.materials.files.reading import read_prompts
from harness.materials.items import MaterialsError, PromptSet
from harness.materials.sets import drawing_of
from harness.models.architecture import architecture_of
from harness.models.specs import ModelError, ModelSpec
from harness.plugin.settings import Settings, settings_key
from harness.study.difficulty import ORDER, RIGHT, Chosen
from harness.study.forecast import Forecast, asked_of, at_speed, gates_of, planned, rough
from harness.study.own_prompts import OwnPrompts
from harness.study.plan import Plan
from harness.study.speed import Speed, length_at, speed_of

if TYPE_CHECKING:
    from harness.adapter import Model

SPEED, CHOSEN, STORED = "speed", "chosen", "stored"  # names of user properties
told_key = pytest.StashKey[list[tuple[str, object]]]()  # of a worker, until its next report


@dataclass
class Forecasts:
    """The forecasts of a run's models, at the speed of each, or as guessed from another's.

    Attributes:
        models: By name.
        plan: Of the run.
        nodes: Ids of all predictions of the run, in order.
        stored: Those that end with a stored verdict.
        workers: How many models run at the same time.
        own: Gives the prompt files.
        speeds: By model.
        expected: By model, whether gates of the cells will be met, for what its setting shows.
        lengths: By model, of prompts at that setting; see `length_at`.
        seen: The same by its verdicts. The first counts: later ones may be on other stories.
    """

    models: Mapping[str, ModelSpec]
    plan: Plan
    nodes: Sequence[str] = ()
    stored: Collection[str] = ()
    workers: int = 1
    own: Callable[[], Sequence[OwnPrompts]] = tuple
    speeds: dict[str, Speed] = field(default_factory=dict)
    expected: dict[str, Mapping[str, bool]] = field(default_factory=dict)
    lengths: dict[str, float] = field(default_factory=dict)
    seen: dict[str, Mapping[str, bool]] = field(default_factory=dict)
    _over: dict[str, float | None] = field(default_factory=dict)
    _forecasts: list[Forecast] = field(default_factory=list)

    def measured(self, name: str, speed: Speed) -> None:
        """Take a model's speed."""
        self.speeds[name] = speed
        self.replan(self.plan)

    def end_at_once(self, places: Sequence[int]) -> None:
        """Predictions, by their places in the run, that end with a stored verdict."""
        self.stored = frozenset(self.nodes[place] for place in places)
        self.replan(self.plan)

    def chosen(self, name: str, gates: Mapping[str, bool], length: float) -> None:
        """The model's setting of the cells was chosen; these gates will be met, or not."""
        self.expected[name], self.lengths[name] = gates, length
        self.replan(self.plan)

    def judged(self, name: str, gates: Mapping[str, bool]) -> None:
        """A verdict on the model says that these gates are met, or not."""
        before = self.seen.get(name, {})
        self.seen[name] = {**gates, **before}
        if self.seen[name] != before:
            self.replan(self.plan)

    def verdict(self, text: str) -> None:
        """Take what a verdict says of gates, as its report brings it."""
        record = json.loads(text)
        self.judged(record["model"]["name"], gates_of(record))

    def unmet(self, name: str) -> list[str]:
        """Gates of the cells that the model is known not to meet."""
        known = {**self.expected.get(name, {}), **self.seen.get(name, {})}
        return [gate for gate, met in known.items() if not met]

    def replan(self, plan: Plan) -> None:
        """Forecast under a plan from here on; what is stored holds for the first one alone."""
        self.stored = self.stored if plan == self.plan else ()
        self.plan = plan
        self._forecasts = self.under(plan) if self.speeds else []
        for node, seconds in self._over.items():
            for forecast in self._forecasts:
                forecast.end(node, seconds)

    def under(self, plan: Plan) -> list[Forecast]:
        """The forecast of each model under a plan, at the speeds that are known."""
        names = sorted(self.models, key=len, reverse=True)
        stored = self.stored if plan == self.plan else ()
        asked = [asked_of(node, names, self.own()) for node in self.nodes if node not in stored]
        found = []
        for name in dict.fromkeys(each.model for each in asked):
            own = [each for each in asked if each.model == name]
            with suppress(ModelError, KeyError):  # a test without a model, or what fails anyhow
                architecture, speed = architecture_of(self.models[name]), self._speed_of(name)
                made = planned(own, plan, architecture, speed, self.unmet(name))
                found.append(Forecast(made))
        return found

    def _speed_of(self, name: str) -> Speed:
        speed = self.speeds.get(name)
        if speed is None:
            known, speed = next(iter(self.speeds.items()))
            sizes = (architecture_of(self.models[n]) for n in (known, name))
            speed = speed.of_another(*sizes)
        return speed.at_length(self.lengths.get(name, 1.0))

    def end(self, node: str, seconds: float | None) -> None:
        """A test took so long; None if that tells no pace. Before a model is loaded none does."""
        self._over[node] = seconds if self.speeds else None
        for forecast in self._forecasts:
            forecast.end(node, self._over[node])

    def left(self, running: Mapping[str, float] | None = None) -> float | None:
        """Seconds left of the whole run; None while no model's speed is known.

        Args:
            running: What tests that run now have taken so far, by node.
        """
        if not self.speeds:
            return None
        return together([f.left(running) for f in self._forecasts], self.workers)

    def sentence(self, name: str) -> str:
        """What the run will take, after a model's speed is known."""
        speed = self.speeds[name]
        number = sum(len(f.planned) - len(f.over) for f in self._forecasts)
        take = "prediction takes" if number == 1 else "predictions take"
        return (
            f"{number} {take} {at_speed(self.left() or 0.0, speed)} ({name}: {speed.said}), "
            "less where a model does not answer or measurements are stored, more where other "
            "circuits are measured"
        )

    def after_choice(self, name: str) -> str:
        """What is left of the run where the setting of a model's cells ends predictions early."""
        unmet, left = self.unmet(name), self.left()
        cells = [gate for gate in unmet if gate in DEMONSTRATED]
        facts = [f"does not answer {' and '.join(cells)}"] if cells else []
        facts += ["answers too few items to judge circuits on"] if RIGHT in unmet else []
        facts += ["is asked stories told in order"] if ORDER in unmet else []
        if not facts or left is None:
            return ""
        return f"{name} {' and '.join(facts)}, which ends predictions early: {rough(left)} left"


def together(seconds: Sequence[float], workers: int) -> float:
    """Of models that run side by side: no less than the one that takes longest."""
    return max([sum(seconds) / workers, *seconds], default=0.0)


UNWATCHED = "HARNESS_UNWATCHED"  # set where nobody waits for the run, as in a fleet


def speed_in(text: str) -> tuple[str, Speed]:
    """The model and speed that a report of a worker brings."""
    name, *values = json.loads(text)
    return str(name), Speed(*values)


def chosen_in(text: str) -> tuple[str, dict[str, bool], float]:
    """The model, gates and length of prompts that a report of a worker brings; see `chosen`."""
    name, gates, length = json.loads(text)
    return str(name), dict(gates), float(length)


def stored_in(text: str) -> list[int]:
    """The places of tests with a stored verdict that a report of a worker brings."""
    return list(map(int, json.loads(text)))


def as_property(name: str, speed: Speed) -> str:
    """For `speed_in`."""
    return json.dumps([name, *asdict(speed).values()])


def own_prompts(settings: Settings) -> tuple[OwnPrompts, ...]:
    """The prompt files of a run, the longest name first; they were found to be good before."""
    files = tuple(name for name in settings.prompts if drawing_of(name) is None)
    return _own_prompts(files, tuple(settings.prompt_columns.items()), settings.crossed)


@cache
def _own_prompts(
    files: Sequence[str], columns: Sequence[tuple[str, str]], cross: bool
) -> tuple[OwnPrompts, ...]:
    from harness.materials.files.crossing import cross_set  # noqa: PLC0415 - loads scipy

    found = []
    for name in files:
        plain, crossed = read_prompts(name, columns=dict(columns)), None
        if cross and not plain.crossed:
            with suppress(MaterialsError):  # the predictions say so
                crossed = cross_set(plain, f"{plain.name}-crossed")
        found.append(OwnPrompts(name, plain, crossed))
    return tuple(sorted(found, key=lambda own: len(own.name), reverse=True))


def sets_of(settings: Settings) -> dict[str, PromptSet]:
    """The sets of a run's prompt files, whose tokens a probe counts."""
    return {name: prompts for own in own_prompts(settings) for name, prompts in own.sets.items()}


def measure(config: pytest.Config, name: str, model: "Model") -> None:
    """Measure a model's speed once it is loaded, and tell the controller; if somebody waits."""
    if os.environ.get(UNWATCHED):
        return
    from harness.plugin.showing import showing_key  # noqa: PLC0415 - not on workers

    showing = config.stash.get(showing_key, None)
    if showing is not None and name in showing.forecasts.speeds:
        return
    speed = speed_of(model, own=sets_of(config.stash[settings_key]))
    if showing is None:
        config.stash.setdefault(told_key, []).append((SPEED, as_property(name, speed)))
    else:
        showing.speed(name, speed)


def tell_chosen(config: pytest.Config, name: str, chosen: Chosen) -> None:
    """Tell the controller what the setting of a model's cells will end early."""
    if os.environ.get(UNWATCHED):
        return
    from harness.plugin.showing import showing_key  # noqa: PLC0415 - not on workers

    gates = chosen.gates(config.stash[settings_key].plan.items)
    told = name, gates, length_at(chosen.difficulty)
    showing = config.stash.get(showing_key, None)
    if showing is None:
        config.stash.setdefault(told_key, []).append((CHOSEN, json.dumps(told)))
    else:
        showing.chosen(*told)
