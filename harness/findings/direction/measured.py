"""What the held-out finding measures: the selected layer, its direction, and every null.

Nothing is decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.activations.extracted import Activations
from harness.findings.direction.search import (
    DirectionRule,
    SearchResult,
    direction_gate,
    search,
)
from harness.findings.direction.separation import Labelled, Separation, placements, separation
from harness.findings.direction.surface_baselines import SurfaceBaseline, surface_baselines
from harness.findings.direction.vectors import difference_in_means
from harness.findings.requirements import sampled
from harness.findings.twins import on_twins
from harness.interventions.directions import Directions
from harness.materials.items import DISCOVERY, EVALUATION
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import require

LEAST_EVALUATED = 2  # evaluation units of each task


@dataclass(frozen=True, slots=True)
class SelectedLayer:
    """A study at the layer that was selected on discovery prompts.

    Attributes:
        x: The stream after this layer; a copy, so that the whole extraction can be freed.
        scores: Each prompt along a direction fitted without it.
    """

    study: Study
    labelled: Labelled
    layer: int
    x: Float[np.ndarray, "prompt d_model"]
    scores: Float[np.ndarray, " prompt"]

    @property
    def units(self) -> int:
        """Number of evaluation pairs; a prompt without a partner counts as one."""
        return len(np.unique(self.labelled.unit[self.labelled.within(EVALUATION)]))

    def held_out_separation(self) -> Separation:
        """AUC of the evaluation prompts."""
        rows = self.labelled.within(EVALUATION)
        return self.separation_of(self.scores[rows], self.labelled.rows(rows))

    def separation_of(
        self, scores: np.ndarray, labelled: Labelled, strata: np.ndarray | None = None
    ) -> Separation:
        """AUC of any scores, with the resamples and the seed of the plan."""
        plan = self.study.plan
        return separation(scores, labelled, resamples=plan.resamples, seed=plan.seed, strata=strata)

    def placements(self) -> dict[str, float]:
        """Of every sample of evaluation prompts, see `separation.placements`."""
        rows, items = self.labelled.within(EVALUATION), self.study.prompts.items
        relation, pair = np.array([(item.relation, item.pair) for item in items])[rows].T
        return placements(self.scores[rows], self.labelled.side[rows], sampled(relation, pair))

    def size(self) -> stats.Estimate:
        """The evaluation prompts' d', `stats.cohens_d`; units are resampled.

        Two directions that both separate completely have the same AUC, but not the same d'.
        """
        rows, plan = self.labelled.within(EVALUATION), self.study.plan
        side, unit = self.labelled.side[rows], self.labelled.unit[rows]
        moments = np.full((unit.max() + 1, 2, 2), np.nan)  # [unit, task, power]
        pooled = np.array([(side == sign).sum() for sign in (-1, 1)]) / (len(side) - 2)
        # Centred first: the squares of large numbers leave no precision for their differences.
        centred = self.scores[rows] - self.scores[rows].mean()
        for task, sign in enumerate((-1, 1)):
            count = np.bincount(unit[side == sign], minlength=len(moments))
            for power in (1, 2):
                of_task = centred[side == sign] ** power
                summed = np.bincount(unit[side == sign], of_task, minlength=len(moments))
                np.divide(summed, count, out=moments[:, task, power - 1], where=count > 0)

        def d_prime(means: Float[np.ndarray, "row task power"]) -> Float[np.ndarray, " row"]:
            variance = (means[..., 1] - np.square(means[..., 0])) @ pooled
            return np.asarray((means[:, 1, 0] - means[:, 0, 0]) / np.sqrt(variance))

        return stats.bootstrap_of_means(moments, d_prime, resamples=plan.resamples, seed=plan.seed)


@dataclass(frozen=True, slots=True)
class TwinDirection:
    """An untrained twin after the same search.

    Attributes:
        separation: AUC of its evaluation prompts at its own layer; nan if it has no direction.
    """

    name: str
    search: SearchResult
    separation: Separation


@dataclass(frozen=True, slots=True)
class HeldOutDirection:
    """Everything that the held-out finding measures.

    Attributes:
        selected: The study at the selected layer.
        search: Of the true labels.
        shuffled: Of every shuffled labelling.
        fitted: The directions of the discovery prompts, of every layer.
        separation: AUC of the evaluation prompts.
        size: Their d'.
        baselines: What tells the tasks apart without a model; prompt length first.
        twins: The untrained twins, where these were worth measuring.
    """

    selected: SelectedLayer
    search: SearchResult
    shuffled: list[SearchResult]
    fitted: Directions
    separation: Separation
    size: stats.Estimate
    baselines: list[SurfaceBaseline]
    twins: Sequence[TwinDirection] = ()


def measure_held_out(study: Study, rule: DirectionRule) -> HeldOutDirection:
    """Select the layer on discovery prompts, measure on evaluation prompts.

    Raises:
        Inconclusive: If there are too few units, or if no layer has a direction.
    """
    labelled, seed = Labelled.of(study.prompts), study.plan.seed
    require(units_gate(study, labelled, rule))
    resid = study.activations.resid
    sides = np.concatenate([labelled.side[None], labelled.shuffled(rule.shuffles, seed)])
    true_labels, *shuffled = search(resid, labelled, sides, rule.folds, seed)
    require(direction_gate(true_labels.layer is not None))
    selected = _selected(study, labelled, resid, true_labels)
    discovery = np.where(labelled.within(DISCOVERY), labelled.side, 0)
    return HeldOutDirection(
        selected=selected,
        search=true_labels,
        shuffled=shuffled,
        fitted=difference_in_means(resid, discovery),
        separation=selected.held_out_separation(),
        size=selected.size(),
        baselines=surface_baselines(study, labelled),
    )


def units_gate(study: Study, labelled: Labelled, rule: DirectionRule) -> Gate:
    """Whether every fold has units to fit on, and the evaluation half has units to judge."""
    missing = []
    for split, least in ((DISCOVERY, rule.folds), (EVALUATION, LEAST_EVALUATED)):
        for task, side in zip(study.prompts.tasks, (-1, 1), strict=True):
            of_task = labelled.unit[labelled.within(split) & (labelled.side == side)]
            if (units := len(np.unique(of_task))) < least:
                missing.append(f"{units} {task} of {least} in {split}")
    unmet = f"too few units (pairs, or prompts without a partner): {', '.join(missing)}"
    return Gate.of("units", not missing, unmet=unmet)


def _selected(
    study: Study,
    labelled: Labelled,
    resid: Float[np.ndarray, "prompt layer d_model"],
    result: SearchResult,
) -> SelectedLayer:
    layer = result.layer
    assert layer is not None
    return SelectedLayer(study, labelled, layer, resid[:, layer].copy(), result.scores[:, layer])


def with_twins(measured: HeldOutDirection, rule: DirectionRule) -> HeldOutDirection:
    """The same beside untrained twins: each its own layer and direction, found in the same way."""
    study, labelled = measured.selected.study, measured.selected.labelled

    def measure(twin: Activations) -> tuple[SearchResult, Separation]:
        folds, seed, nan = rule.folds, study.plan.seed, float("nan")
        (result,) = search(twin.resid, labelled, labelled.side[None], folds, seed)
        if result.layer is None:
            return result, Separation(nan, nan, nan)
        return result, _selected(study, labelled, twin.resid, result).held_out_separation()

    twins = [TwinDirection(name, *found) for name, found in on_twins(study, measure).items()]
    return replace(measured, twins=twins)
