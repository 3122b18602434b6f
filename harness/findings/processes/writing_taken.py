"""What h14 takes away while steps are written: the circuit of composing, or its direction."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from harness.findings.circuits.circuits import CircuitKind
from harness.findings.direction.vectors import difference_in_means
from harness.findings.processes.circuit import CircuitRule, Parts, costs_of
from harness.findings.processes.circuit_search import Search
from harness.findings.processes.followed import needed_elsewhere
from harness.findings.processes.kinds import COMPOSING, cell_of
from harness.findings.processes.materials import contrasted
from harness.findings.processes.other_circuits import other_circuits, same_process_rows
from harness.findings.processes.writing import Take, Taken
from harness.findings.steering.fitting import fitting_prompts
from harness.findings.sweeps import swept
from harness.interventions.directions import Directions
from harness.interventions.interventions import MEAN, PROJECT_OUT, Intervention
from harness.interventions.sites import Site
from harness.materials.items import DISCOVERY, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate

REASONING, LOOKUP = COMPOSING.cells


def circuit_of(kind: CircuitKind) -> Take:
    """The circuit of composing, found by what its loss costs short answers (h5)."""

    def take(study: Study, parts: Parts, rule: CircuitRule) -> tuple[Taken, Gate]:
        search = Search(study, kind, parts.selection, rule)
        found = search.circuit_of(REASONING)
        needed = needed_elsewhere(study, kind, COMPOSING, parts, found, rule, spared=(LOOKUP,))

        def others() -> tuple[list[Intervention], list[Intervention]]:
            made = other_circuits(search, found.circuit, REASONING)
            random, same = ([Intervention(c.sites, MEAN) for c in some] for some in made)
            return random, same

        taken = Taken(
            called=f"composing {kind}s",
            sort="circuits",
            found=f"the {found.size:,} {kind}s were found by what their loss costs short answers",
            how=Intervention(found.circuit.sites, MEAN),
            others=others,
        )
        return taken, needed

    return take


def direction(study: Study, parts: Parts, rule: CircuitRule) -> tuple[Taken, Gate]:
    """The direction from lookup to reasoning, projected out where that costs short answers most.

    Fitted on the crossed prompts of the discovery entities of the relations that circuits are
    searched on, where no word tells the two apart (h7). It is compared with directions that point
    anywhere, and with those between random halves of the relations of one cell.
    """
    seed, source = study.plan.seed, _crossed(study, parts)
    resid = study.subject.activations(source).resid
    reasoning, lookup = (
        np.array([cell_of(item) == cell for item in source.items]) for cell in COMPOSING.cells
    )
    fitted = _between(resid, reasoning, lookup)
    random = np.random.default_rng(seed).standard_normal((rule.draws, resid.shape[2]))
    same = same_process_rows(source, REASONING, rule.draws, seed)
    directions = (
        fitted,
        *(replace(fitted, vectors=np.tile(vector, (resid.shape[1], 1))) for vector in random),
        *(_between(resid, *rows) for rows in same),
    )
    each = _projections(np.flatnonzero(fitted.defined).tolist())
    selection = swept(study.subject, parts.selection, each, directions=directions)
    how = each[int(np.nanargmax(costs_of(selection, parts.selection).selectivity(REASONING)))]
    judging = swept(study.subject, parts.judging, [how], directions=directions)
    own, spared = (
        float(costs_of(judging, parts.judging).answered().mean(cell)[0]) for cell in COMPOSING.cells
    )
    numbered = [replace(how, direction=number) for number in range(1, len(directions))]
    taken = Taken(
        called="direction of composing",
        sort="directions",
        found=f"the direction was fitted on {len(source)} crossed prompts; where it is projected "
        f"out ({how.where}, of {len(each)} choices) was selected by what that costs short answers",
        how=how,
        others=lambda: (numbered[: rule.draws], numbered[rule.draws :]),
        directions=directions,
    )
    met = own >= rule.target and spared <= rule.margin
    costs = (
        f"without the direction ({how.where}) short answers to {REASONING} lose {own:.2f} of their "
        f"logit difference (needed {rule.target:.2f}), those to {LOOKUP} {spared:.2f} (at most "
        f"{rule.margin:.2f})"
    )
    unmet = f"no direction of composing to follow: {costs}"
    return taken, Gate("direction", met, costs if met else unmet)


def _crossed(study: Study, parts: Parts) -> PromptSet:
    """The prompts that the direction is fitted on."""
    searched = {item.relation for item in parts.selection.items}
    return fitting_prompts(contrasted(study, COMPOSING)).where(
        lambda item: (
            item.split == DISCOVERY
            and item.relation in searched
            and cell_of(item) in COMPOSING.cells
        )
    )


def _between(
    resid: Float[np.ndarray, "prompt layer d_model"],
    to: Bool[np.ndarray, " prompt"],
    others: Bool[np.ndarray, " prompt"],
) -> Directions:
    """From the mean of some prompts to that of others."""
    return difference_in_means(resid, to.astype(int) - others.astype(int))


def _projections(layers: list[int]) -> list[Intervention]:
    """The direction projected out after each layer, and after all of them."""
    scopes = [[layer] for layer in layers] + ([layers] if len(layers) > 1 else [])
    return [
        Intervention(tuple(Site("resid", layer) for layer in scope), PROJECT_OUT)
        for scope in scopes
    ]
