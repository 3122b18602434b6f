"""The direction that steering uses, fitted on discovery pairs, and random ones of its length.

The direction of a layer is the difference in means of the two tasks there (see `vectors`), in the
residual stream's own basis: the stream after a layer, behind a post-norm where there is one.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from harness.findings.direction.separation import Labelled
from harness.findings.direction.vectors import difference_in_means
from harness.interventions.directions import Directions
from harness.materials.items import DISCOVERY, Item, PromptSet
from harness.study.study import Study

STATEMENT = "statement"  # task of the neutral prompts


@dataclass(frozen=True, slots=True, eq=False)
class FittedDirection:
    """The direction, and the discovery pairs that are left to select with.

    Attributes:
        directions: Of every layer.
        layers: Those that have one.
        source: Name of the prompts it was fitted on.
        resid: The stream of these prompts.
        side: Their sides.
        pairs: How many pairs they make.
        unseen: The discovery pairs that the direction was not fitted on.
    """

    directions: Directions
    layers: tuple[int, ...]
    source: str
    resid: Float[np.ndarray, "prompt layer d_model"]
    side: Int[np.ndarray, " prompt"]
    pairs: int
    unseen: frozenset[str]


def fitting_prompts(study: Study) -> PromptSet:
    """The crossed counterpart of plain materials, whose words do not differ; else themselves."""
    return study.crossed_counterpart() or study.prompts


def fit(study: Study) -> FittedDirection:
    """Fit the direction on one half of the discovery pairs; the other half is for selection.

    Raises:
        ValueError: If the fitting half lacks a task.
    """
    labelled = Labelled.of(study.prompts)
    discovery = labelled.within(DISCOVERY)
    half = labelled.rows(discovery).halves(1, study.plan.seed)[0]
    names = np.array([i.pair for i in study.prompts.items])[discovery]
    fitted, unseen = (frozenset(names[rows].tolist()) for rows in (half, ~half))
    prompts = fitting_prompts(study)
    labels = Labelled.of(prompts)
    used = np.array([i.pair in fitted for i in prompts.items]) & (labels.side != 0)
    activations = replace(study, prompts=prompts).activations
    resid, side = activations.resid[used], labels.side[used]
    directions = difference_in_means(resid, side)
    layers = tuple(int(i) for i in np.flatnonzero(directions.defined))
    return FittedDirection(directions, layers, prompts.name, resid, side, len(fitted), unseen)


def isotropic(fitted: FittedDirection, count: int, seed: int) -> list[Directions]:
    """Random directions, each the same in every layer and as long as the fitted one is there."""
    drawn = np.random.default_rng(seed).standard_normal((count, fitted.resid.shape[2]))
    return [_as_long(fitted, np.tile(v, (fitted.resid.shape[1], 1))) for v in drawn]


def spread_like_stream(fitted: FittedDirection, count: int, seed: int) -> list[Directions]:
    """Random directions spread as the stream is within a task, as long as the fitted one.

    Weighted sums of what differs between fitting prompts of one task, such as words, order and
    label. A stream varies in few directions, so these move a model more than isotropic ones do.
    """
    weights = np.random.default_rng(seed).standard_normal((count, len(fitted.side)))
    for side in (-1, 1):  # so that the sums are of deviations from the task's mean
        member = fitted.side == side
        weights[:, member] -= weights[:, member].mean(1, keepdims=True)
    layers = fitted.resid.shape[1]
    drawn = [weights @ fitted.resid[:, layer].astype(np.float64) for layer in range(layers)]
    return [_as_long(fitted, vectors) for vectors in np.array(drawn).swapaxes(0, 1)]


def _as_long(fitted: FittedDirection, vectors: Float[np.ndarray, "layer d_model"]) -> Directions:
    length = np.linalg.norm(vectors, axis=1)
    scale = np.divide(fitted.directions.norm, length, out=np.zeros_like(length), where=length > 0)
    zero = np.zeros_like(vectors)
    return Directions(vectors * scale[:, None], zero, fitted.directions.scale)


def neutral_prompts(prompts: PromptSet) -> PromptSet:
    """What steering should leave alone: other tasks of the materials, and plain statements.

    The statements are each story's premises, cut before the last word: nothing is asked. The model
    can hardly know which name comes next, so it has little to lose there; hence the other tasks.
    Materials with neither are their own neutral prompts.
    """
    statements: dict[str, Item] = {}
    for item in prompts.items:
        if item.premises and item.pair not in statements:
            text = " ".join(item.premises).rsplit(" ", 1)[0]
            statements[item.pair] = Item(
                f"{item.pair}-{STATEMENT}", STATEMENT, text, item.pair, split=item.split
            )
    others = tuple(i for i in prompts.items if i.task not in prompts.tasks)
    items = (*others, *statements.values()) or prompts.items
    return PromptSet(f"{prompts.name}-neutral", items, prompts.tasks)
