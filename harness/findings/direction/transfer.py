"""The finding that a direction means the same elsewhere: fitted in one domain, judged in others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import stats
from harness.findings.direction import vectors as directions
from harness.findings.direction.search import DirectionRule, search
from harness.findings.direction.separation import (
    Labelled,
    PermutationP,
    Separation,
    permutation_p,
    placements,
    separation,
)
from harness.findings.gates import competence_gates
from harness.materials.domains import DOMAINS
from harness.materials.items import DISCOVERY
from harness.materials.sets import domain_of, draw_crossed
from harness.study.study import Study
from harness.verdicts.plots import Plot, PlotPanel, Series
from harness.verdicts.verdict import (
    Control,
    Effect,
    Evidence,
    Family,
    Finding,
    Gate,
    Inconclusive,
    require,
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A domain that had no part in the fit."""

    domain: str
    study: Study
    answered: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """How the direction tells the tasks of a domain's prompts apart."""

    domain: str
    found: Separation
    test: PermutationP
    pairs: np.ndarray  # of each prompt
    scores: np.ndarray
    side: np.ndarray

    @property
    def n(self) -> int:
        """Pairs."""
        return len(np.unique(self.pairs))


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A direction fitted here, to be used elsewhere.

    Attributes:
        layer: Where it was fitted.
        direction: Of that layer alone.
        twin: The untrained twin that it is of, if it is.
    """

    layer: int
    direction: directions.Directions
    twin: int | None

    def scores(self, study: Study) -> np.ndarray:
        """Projections of a study's prompts."""
        resid = study.subject.activations(study.prompts, twin=self.twin).resid
        return directions.project(resid[:, [self.layer]], self.direction)[:, 0]


def transfer_finding(study: Study, rule: DirectionRule, items: int, gate: float) -> Finding:
    """AUC of every other domain's crossed prompts along the direction of this one's.

    Judged in the domains whose questions the model answers; the others are named and left out.
    """
    home = domain_of(study.prompts)
    if home is None or not study.prompts.crossed:
        reason = f"{study.prompts.name} belongs to no domain: there is no other one to carry it to"
        raise Inconclusive(Gate("domain", False, reason))
    gates = require(*competence_gates(study, gate))
    elsewhere = [_elsewhere(study, d, items, gate) for d in DOMAINS if d != home]
    known = [e for e in elsewhere if e.answered]
    left_out = tuple(f"{e.domain} is left out: {e.reason}" for e in elsewhere if not e.answered)
    said = f"the model answers no other domain's questions: {'; '.join(left_out)}"
    gates += (Gate("other domains", bool(known), said),)
    carried = _fitted(study, rule)
    reason = "the tasks' means are the same in every layer: there is no direction"
    gates += (Gate("direction", carried is not None, reason),)
    if not known or carried is None:
        raise Inconclusive(*gates)
    judged = [_judged(e, carried) for e in known]
    adjusted = stats.holm(np.array([j.test.p for j in judged]))
    evidence = [
        _evidence(j, home, carried.layer, rule, float(p), len(judged))
        for j, p in zip(judged, adjusted, strict=True)
    ]
    twins = range(1, study.plan.twins + 1)
    controls = [_twin_control(study, known, rule, twin) for twin in twins]
    units = {
        e.name: placements(j.scores, j.side, j.pairs) for e, j in zip(evidence, judged, strict=True)
    }
    plots = (_plot(judged, home, carried.layer, study.prompts.tasks),)
    return Finding(
        tuple(evidence), tuple(controls), gates, notes=left_out, units=units, plots=plots
    )


def _elsewhere(study: Study, domain: str, items: int, gate: float) -> Elsewhere:
    drawn = draw_crossed(domain, min(items, study.plan.items), study.plan.seed)
    there = replace(study, prompts=study.plan.labelled(drawn))
    unmet = [g.reason for g in competence_gates(there, gate) if not g.met]
    return Elsewhere(domain, there, not unmet, "; ".join(unmet))


def _fitted(study: Study, rule: DirectionRule, twin: int | None = None) -> Carried | None:
    """Layer and direction from the discovery prompts; None if no layer has a direction."""
    labelled = Labelled.of(study.prompts)
    resid = study.subject.activations(study.prompts, twin=twin).resid
    (found,) = search(resid, labelled, labelled.side[None], rule.folds, study.plan.seed)
    if found.layer is None:
        return None
    side = np.where(labelled.within(DISCOVERY), labelled.side, 0)
    direction = directions.difference_in_means(resid[:, [found.layer]], side)
    return Carried(found.layer, direction, twin)


def _judged(there: Elsewhere, carried: Carried) -> Judged:
    labelled, plan = Labelled.of(there.study.prompts), there.study.plan
    scores = carried.scores(there.study)
    return Judged(
        there.domain,
        separation(scores, labelled, resamples=plan.resamples, seed=plan.seed),
        permutation_p(scores, labelled, permutations=plan.permutations, seed=plan.seed),
        np.array([item.pair for item in there.study.prompts.items]),
        scores,
        labelled.side,
    )


def _evidence(
    j: Judged, home: str, layer: int, rule: DirectionRule, p_adjusted: float, domains: int
) -> Evidence:
    return Evidence(
        f"{j.domain} along the direction of {home}",
        Effect(
            "AUC",
            j.found.auc,
            j.found.interval,
            method=f"layer {layer}, chosen and fitted on discovery prompts of {home}; no prompt of "
            f"{j.domain} was seen; BCa bootstrap of pairs",
        ),
        threshold=rule.auc,
        relation=">",
        p=j.test.p,
        p_adjusted=p_adjusted,
        alpha=rule.alpha,
        floor=j.test.floor,
        family=Family("domains that the model answers", domains, "Holm"),
        n=j.n,
    )


def _twin_control(
    study: Study, known: Sequence[Elsewhere], rule: DirectionRule, twin: int
) -> Control:
    """An untrained twin's own direction, carried over in the same way."""
    carried = _fitted(study, rule, twin)
    reached = []
    if carried is not None:
        for there in known:
            scores, side = carried.scores(there.study), Labelled.of(there.study.prompts).side
            reached.append(float(stats.auc(scores[side > 0], scores[side < 0])))
    largest = max(reached, default=float("nan"))
    return Control(
        f"untrained twin {twin}",
        largest,
        not largest > rule.auc,
        note=f"largest AUC of a domain; must not exceed {rule.auc:g}"
        if reached
        else "it has no direction in any layer",
    )


def _plot(judged: Sequence[Judged], home: str, layer: int, tasks: tuple[str, str]) -> Plot:
    panels = []
    for j in judged:
        edges = np.histogram_bin_edges(j.scores, 30)
        panels.append(
            PlotPanel(
                j.domain,
                tuple(
                    Series(
                        task,
                        "recall" if sign < 0 else "reasoning",
                        edges[:-1].tolist(),
                        (np.histogram(j.scores[j.side == sign], edges)[0]).tolist(),
                    )
                    for task, sign in zip(tasks, (-1, 1), strict=True)
                ),
            )
        )
    said = ", ".join(f"{j.domain} {j.found.auc:.2f}" for j in judged)
    return Plot(
        form="histogram",
        title=f"other domains along the direction of {home}",
        headline=f"AUC along the direction of {home}: {said}.",
        caption=(
            "Crossed prompts of domains that had no part in the fit, along the direction of "
            f"{home}, layer {layer}. Apart: what the direction marks is not bound to one domain."
        ),
        x=f"projection, to the right as {tasks[1]} in {home}",
        y="prompts",
        panels=tuple(panels),
        n=judged[0].n,
    )
