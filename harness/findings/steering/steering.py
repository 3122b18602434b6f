"""Steering measured: one direction added, taken out or scaled, and what that does to answers.

The direction of a layer is the difference in means of the two tasks there (see `vectors`), in the
residual stream's own basis: the stream after a layer, behind a post-norm where there is one.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from harness.activations.swept import SweepResult
from harness.findings.circuits.measure import mean_by_pair, stored_sweep
from harness.findings.direction.separation import Labelled
from harness.findings.direction.vectors import Directions, difference_in_means
from harness.interventions.sites import Positions, Site
from harness.materials.items import DISCOVERY, Item, PromptSet
from harness.study.study import Study
from harness.study.subject import Subject

if TYPE_CHECKING:
    from harness.interventions.edits import EditSet

STEERING_VERSION = 2  # raise it when an edit, a measure or a neutral prompt changes its meaning
STATEMENT = "statement"  # task of the neutral prompts

EditName = Literal["add", "project out", "rescale", "recentre"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to steer: the edits of one run.

    Attributes:
        edit: `add` dose times the difference in means (1 is all of it, below 0 away from it);
            `project out`; `rescale`, x + dose (x . r) r; `recentre`, the component along r
            becomes that of the midpoint between the tasks.
        layers: After which the stream is edited, each with its own direction.
        dose: Of `add` and `rescale`.
        direction: Which of the directions given, 0 the fitted one.
    """

    edit: EditName
    layers: tuple[int, ...]
    dose: float = 1.0
    direction: int = 0

    def __str__(self) -> str:
        said = f" {self.dose:+g}" if self.edit in ("add", "rescale") else ""
        return f"{self.edit}{said} at {self.where}"

    @property
    def where(self) -> str:
        """Its layers in words."""
        return f"layer {self.layers[0]}" if len(self.layers) == 1 else "every layer"

    def edits(self, directions: Sequence[Directions], positions: Positions) -> "EditSet":
        """As the engine takes them.

        Raises:
            ValueError: If the direction of a layer has no length.
        """
        from harness.interventions import edits  # noqa: PLC0415 - torch loads here

        of, made = directions[self.direction], []
        for layer in self.layers:
            site, unit = Site("resid", layer), of.unit(layer)
            match self.edit:
                case "add":
                    step = of.vectors[layer]
                    made.append(edits.add_direction(site, step, self.dose, positions))
                case "rescale":
                    made.append(edits.rescale(site, unit, 1 + self.dose, positions))
                case "project out":
                    made.append(edits.project_out(site, unit, positions))
                case "recentre":
                    back = float(of.midpoint[layer] @ unit)
                    made.append(edits.project_out(site, unit, positions))
                    made.append(edits.add_direction(site, unit, back, positions))
        return tuple(made)


def identity(arms: Sequence[Arm], directions: Sequence[Directions], positions: Positions) -> str:
    """SHA-256 over arms, in order, and the directions that they use."""
    digest = hashlib.sha256(json.dumps([positions, *(asdict(a) for a in arms)]).encode())
    for number in sorted({a.direction for a in arms}):
        for array in (directions[number].vectors, directions[number].midpoint):
            digest.update(array.astype(np.float32).tobytes())
    return digest.hexdigest()


def steered(
    subject: Subject,
    prompts: PromptSet,
    arms: Sequence[Arm],
    directions: Sequence[Directions],
    positions: Positions = "all",
) -> SweepResult:
    """Every prompt under every arm, from the store or measured; resumes shard by shard."""
    what = {
        "kind": "steering",
        "version": STEERING_VERSION,
        "arms": identity(arms, directions, positions),
    }

    return stored_sweep(
        subject, what, prompts, lambda _: [arm.edits(directions, positions) for arm in arms]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The direction, and what is left of discovery to choose with.

    Attributes:
        directions: Of every layer.
        layers: Those that have one.
        source: Name of the prompts it was fitted on.
        resid: The stream of these prompts.
        side: Their sides.
        pairs: How many pairs they make.
        choosing: The discovery pairs that the direction has not seen.
    """

    directions: Directions
    layers: tuple[int, ...]
    source: str
    resid: Float[np.ndarray, "prompt layer d_model"]
    side: Int[np.ndarray, " prompt"]
    pairs: int
    choosing: frozenset[str]


def fitting_prompts(study: Study) -> PromptSet:
    """The crossed counterpart of the plain materials, which is clean of words; else themselves."""
    return study.crossed_counterpart() or study.prompts


def fit(study: Study) -> Fitted:
    """Fit the direction on one half of the discovery pairs; the other half is for choosing.

    Raises:
        ValueError: If the fitting half lacks a task.
    """
    labelled = Labelled.of(study.prompts)
    discovery = labelled.within(DISCOVERY)
    half = labelled.rows(discovery).halves(1, study.plan.seed)[0]
    names = np.array([i.pair for i in study.prompts.items])[discovery]
    fitted, choosing = (frozenset(names[rows].tolist()) for rows in (half, ~half))
    prompts = fitting_prompts(study)
    labels = Labelled.of(prompts)
    used = np.array([i.pair in fitted for i in prompts.items]) & (labels.side != 0)
    resid, side = study.subject.activations(prompts).resid[used], labels.side[used]
    directions = difference_in_means(resid, side)
    layers = tuple(int(i) for i in np.flatnonzero(directions.defined))
    return Fitted(directions, layers, prompts.name, resid, side, len(fitted), choosing)


def isotropic(fitted: Fitted, count: int, seed: int) -> list[Directions]:
    """Random directions, each the same in every layer and as long as the fitted one is there."""
    drawn = np.random.default_rng(seed).standard_normal((count, fitted.resid.shape[2]))
    return [_as_long(fitted, np.tile(v, (fitted.resid.shape[1], 1))) for v in drawn]


def of_the_spread(fitted: Fitted, count: int, seed: int) -> list[Directions]:
    """Random directions spread as the stream is within a task, as long as the fitted one.

    Weighted sums of what tells the fitting prompts of one task apart, such as words, order and
    label. A stream lies in few directions, so these move a model more than isotropic ones do.
    """
    weights = np.random.default_rng(seed).standard_normal((count, len(fitted.side)))
    for side in (-1, 1):  # so that the sums are of deviations from the task's mean
        member = fitted.side == side
        weights[:, member] -= weights[:, member].mean(1, keepdims=True)
    layers = fitted.resid.shape[1]
    drawn = [weights @ fitted.resid[:, layer].astype(np.float64) for layer in range(layers)]
    return [_as_long(fitted, vectors) for vectors in np.array(drawn).swapaxes(0, 1)]


def _as_long(fitted: Fitted, vectors: Float[np.ndarray, "layer d_model"]) -> Directions:
    length = np.linalg.norm(vectors, axis=1)
    scale = np.divide(fitted.directions.norm, length, out=np.zeros_like(length), where=length > 0)
    zero = np.zeros_like(vectors)
    return Directions(vectors * scale[:, None], zero, fitted.directions.scale)


def neutral_prompts(prompts: PromptSet) -> PromptSet:
    """What steering should leave alone: other tasks of the materials, and plain statements.

    The statements are each story's premises, cut before the last word: nothing is asked. Which
    name comes next is hardly known there, so that little can be lost; hence the other tasks.
    Materials with neither are their own neutral prompts.
    """
    found: dict[str, Item] = {}
    for item in prompts.items:
        if item.premises and item.pair not in found:
            text = " ".join(item.premises).rsplit(" ", 1)[0]
            found[item.pair] = Item(
                f"{item.pair}-{STATEMENT}", STATEMENT, text, item.pair, split=item.split
            )
    others = tuple(i for i in prompts.items if i.task not in prompts.tasks)
    items = (*others, *found.values()) or prompts.items
    return PromptSet(f"{prompts.name}-neutral", items, prompts.tasks)


@dataclass(frozen=True, slots=True)
class Moved:
    """What arms did to one task; a pair is the unit (the mean of its items), nan if it has none.

    Attributes:
        logit_difference: Change of answer minus best distractor, nats.
        log_probability: Change of the answer's log-probability, nats.
        divergence: KL(intact || steered) of the next token, nats.
        intact: Logit difference of the intact model, nats.
        before: Share of the pair's items answered right by the intact model.
        after: The same, steered.
    """

    logit_difference: Float[np.ndarray, "arm pair"]
    log_probability: Float[np.ndarray, "arm pair"]
    divergence: Float[np.ndarray, "arm pair"]
    intact: Float[np.ndarray, " pair"]
    before: Float[np.ndarray, " pair"]
    after: Float[np.ndarray, "arm pair"]

    @property
    def scored(self) -> Bool[np.ndarray, " pair"]:
        """Pairs with an item of this task that can be right or wrong."""
        return np.asarray(~np.isnan(self.before))

    def mean(self, arm: int) -> float:
        """Mean change of the logit difference; nan if no pair is scored."""
        values = self.logit_difference[arm, self.scored]
        return float(values.mean()) if len(values) else float("nan")

    def share(self, arm: int) -> float:
        """The same as a share of the intact logit difference: -1 if nothing of it is left.

        Tasks begin at different heights, and an edit that ruins both takes more nats from the
        one that stood higher.
        """
        return self.mean(arm) / float(self.intact[self.scored].mean())


def moved(result: SweepResult, prompts: PromptSet, task: str) -> Moved:
    """Of one task; pairs in the order of the prompts, the same for every task."""
    of_task = np.array([item.task == task for item in prompts.items])
    pair = [item.pair for item in prompts.items if item.task == task]

    def by_pair(values: np.ndarray) -> np.ndarray:
        return mean_by_pair(values[..., of_task], pair, prompts.pairs)

    return Moved(
        by_pair(result.logit_difference - result.clean_logit_difference),
        by_pair(result.log_probability - result.clean_log_probability),
        by_pair(result.divergence),
        by_pair(result.clean_logit_difference),
        by_pair(result.clean_correct),
        by_pair(result.correct),
    )
