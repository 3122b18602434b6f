"""Transfer to other domains: a direction fitted on one domain, judged on prompts of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import stats
from harness.findings.direction.plots import ROLES
from harness.findings.direction.search import DirectionRule, direction_gate, search
from harness.findings.direction.separation import (
    Labelled,
    PermutationP,
    Separation,
    permutation_p,
    placements,
    separation,
)
from harness.findings.direction.vectors import difference_in_means, project
from harness.findings.gates import competence_gates
from harness.findings.twins import TwinResult, twin_controls
from harness.interventions.directions import Directions
from harness.materials.domains import DOMAINS
from harness.materials.items import DISCOVERY
from harness.materials.sets import domain_of, draw_crossed
from harness.study.study import Study
from harness.verdicts.evidence import Control, Effect, Evidence, Family, Gate
from harness.verdicts.judge import Finding, require
from harness.verdicts.plots import Plot, PlotPanel, Series

_BINS = 30


@dataclass(frozen=True, slots=True)
class OtherDomain:
    """A domain that had no part in the fit; `unmet` says why the model does not answer it."""

    name: str
    study: Study
    unmet: str


@dataclass(frozen=True, slots=True, eq=False)
class HomeDirection:
    """The direction of the home domain, to be used on other domains.

    Attributes:
        layer: The layer selected in the home domain.
        direction: Of that layer alone.
        twin: Number of the untrained twin that it belongs to; None for the model.
    """

    layer: int
    direction: Directions
    twin: int | None

    def scores(self, study: Study) -> np.ndarray:
        """Projections of a study's prompts."""
        resid = study.subject.activations(study.prompts, twin=self.twin).resid
        return project(resid[:, [self.layer]], self.direction)[:, 0]


@dataclass(frozen=True, slots=True)
class DomainSeparation:
    """How well the direction tells the tasks of another domain's prompts apart."""

    domain: str
    separation: Separation
    test: PermutationP
    pairs: np.ndarray  # of each prompt
    scores: np.ndarray
    side: np.ndarray

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(np.unique(self.pairs))


@dataclass(frozen=True, slots=True)
class DomainTransfer:
    """Everything that the transfer finding measures.

    Attributes:
        study: Of the home domain.
        home: Its name.
        layer: The layer selected in the home domain.
        answered: The other domains whose questions the model answers.
        left_out: The others, each with the reason.
        separations: Of every answered domain.
        twins: AUC of every answered domain along each untrained twin's own direction; empty for
            a twin without one.
        gates: All of them met.
    """

    study: Study
    home: str
    layer: int
    answered: list[OtherDomain]
    left_out: tuple[str, ...]
    separations: list[DomainSeparation]
    twins: Mapping[str, list[float]]
    gates: tuple[Gate, ...]


def transfer_finding(study: Study, rule: DirectionRule, *, pairs: int, gate: float) -> Finding:
    """AUC of every other domain's crossed prompts along the direction of this domain.

    Judged in the domains whose questions the model answers; the others are named and left out.

    Args:
        study: Of the home domain.
        rule: The numbers of the criterion.
        pairs: Drawn from each other domain, at most.
        gate: Accuracy that every task needs.
    """
    measured = _measure(study, rule, pairs, gate)
    evidence = _decisive(measured, rule)
    return Finding(
        evidence=tuple(evidence),
        controls=_twin_controls(measured, rule),
        gates=measured.gates,
        notes=measured.left_out,
        samples={
            e.name: placements(s.scores, s.side, s.pairs)
            for e, s in zip(evidence, measured.separations, strict=True)
        },
        plots=(_plot(measured),),
    )


def _measure(study: Study, rule: DirectionRule, pairs: int, gate: float) -> DomainTransfer:
    home = domain_of(study.prompts) if study.prompts.crossed else None
    reason = f"{study.prompts.name} are not crossed prompts of a domain: there is no other domain"
    require(Gate("domain", home is not None, reason))
    assert home is not None
    gates = require(*competence_gates(study, gate))
    others = [_other_domain(study, name, pairs, gate) for name in DOMAINS if name != home]
    answered = [other for other in others if not other.unmet]
    left_out = tuple(f"{o.name} is left out: {o.unmet}" for o in others if o.unmet)
    reason = f"the model answers no other domain's questions: {'; '.join(left_out)}"
    direction = _home_direction(study, rule)
    gates = require(
        *gates,
        Gate("other domains", bool(answered), reason),
        direction_gate(direction is not None),
    )
    assert direction is not None
    return DomainTransfer(
        study=study,
        home=home,
        layer=direction.layer,
        answered=answered,
        left_out=left_out,
        separations=[_separation(other, direction) for other in answered],
        twins={
            f"twin {number}": _twin_aucs(study, answered, rule, number)
            for number in range(1, study.plan.twins + 1)
        },
        gates=gates,
    )


def _other_domain(study: Study, name: str, pairs: int, gate: float) -> OtherDomain:
    drawn = draw_crossed(name, min(pairs, study.plan.items), study.plan.seed)
    other = replace(study, prompts=study.plan.labelled(drawn))
    unmet = [g.reason for g in competence_gates(other, gate) if not g.met]
    return OtherDomain(name, other, "; ".join(unmet))


def _home_direction(
    study: Study, rule: DirectionRule, twin: int | None = None
) -> HomeDirection | None:
    """Layer and direction from the discovery prompts; None if no layer has a direction."""
    labelled = Labelled.of(study.prompts)
    resid = study.subject.activations(study.prompts, twin=twin).resid
    (result,) = search(resid, labelled, labelled.side[None], rule.folds, study.plan.seed)
    if result.layer is None:
        return None
    side = np.where(labelled.within(DISCOVERY), labelled.side, 0)
    direction = difference_in_means(resid[:, [result.layer]], side)
    return HomeDirection(result.layer, direction, twin)


def _separation(other: OtherDomain, direction: HomeDirection) -> DomainSeparation:
    labelled, plan = Labelled.of(other.study.prompts), other.study.plan
    scores = direction.scores(other.study)
    return DomainSeparation(
        other.name,
        separation(scores, labelled, resamples=plan.resamples, seed=plan.seed),
        permutation_p(scores, labelled, permutations=plan.permutations, seed=plan.seed),
        np.array([item.pair for item in other.study.prompts.items]),
        scores,
        labelled.side,
    )


def _twin_aucs(
    study: Study, answered: Sequence[OtherDomain], rule: DirectionRule, twin: int
) -> list[float]:
    """AUCs along a twin's own direction; empty if it has none."""
    direction = _home_direction(study, rule, twin)
    return [] if direction is None else [_auc(other, direction) for other in answered]


def _auc(other: OtherDomain, direction: HomeDirection) -> float:
    scores, side = direction.scores(other.study), Labelled.of(other.study.prompts).side
    return float(stats.auc(scores[side > 0], scores[side < 0]))


def _decisive(measured: DomainTransfer, rule: DirectionRule) -> list[Evidence]:
    """The AUC in every answered domain."""
    p_values = np.array([s.test.p for s in measured.separations])
    family = Family("domains that the model answers", len(p_values), "Holm")
    return [
        Evidence(
            f"{s.domain} along the direction of {measured.home}",
            Effect(
                "AUC",
                s.separation.auc,
                s.separation.interval,
                method=f"layer {measured.layer}, selected and fitted on discovery prompts of "
                f"{measured.home}; no prompt of {s.domain} was seen; BCa bootstrap of pairs",
            ),
            threshold=rule.auc,
            relation=">",
            p=s.test.p,
            p_adjusted=float(p_adjusted),
            alpha=rule.alpha,
            floor=s.test.floor,
            family=family,
            n=s.n,
            key=f"transfer.{s.domain}",
        )
        for s, p_adjusted in zip(measured.separations, stats.holm(p_values), strict=True)
    ]


def _twin_controls(measured: DomainTransfer, rule: DirectionRule) -> tuple[Control, ...]:
    """An untrained twin's own direction, carried over in the same way."""
    needed = f"largest AUC of a domain; must not exceed {rule.auc:g}"
    none = TwinResult(float("nan"), "it has no direction in any layer")
    results = {
        name: TwinResult(max(aucs), needed) if aucs else none
        for name, aucs in measured.twins.items()
    }
    return twin_controls(results, meets=lambda auc: auc > rule.auc)


def _plot(measured: DomainTransfer) -> Plot:
    home, tasks = measured.home, measured.study.prompts.tasks
    aucs = ", ".join(f"{s.domain} {s.separation.auc:.2f}" for s in measured.separations)
    return Plot(
        form="histogram",
        title=f"other domains along the direction of {home}",
        headline=f"AUC along the direction of {home}: {aucs}.",
        caption=(
            "Crossed prompts of domains that had no part in the fit, along the direction of "
            f"{home}, layer {measured.layer}. Apart: what the direction marks is not bound to one "
            "domain."
        ),
        x=f"projection, to the right as {tasks[1]} in {home}",
        y="prompts",
        panels=tuple(_panel(s, tasks) for s in measured.separations),
        n=measured.separations[0].n,
    )


def _panel(domain: DomainSeparation, tasks: tuple[str, str]) -> PlotPanel:
    edges = np.histogram_bin_edges(domain.scores, _BINS)
    counts = [np.histogram(domain.scores[domain.side == sign], edges)[0] for sign in (-1, 1)]
    first, second = (
        Series(task, role, edges[:-1].tolist(), count.tolist())
        for task, role, count in zip(tasks, ROLES, counts, strict=True)
    )
    return PlotPanel(domain.domain, (first, second))
