"""Heads and MLPs ranked by what their loss costs, against those of a circuit that is known."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from harness import stats
from harness.calibration.claims import claim_module
from harness.findings.circuits.circuits import Member
from harness.findings.circuits.neuron_scores import PATH_STEPS
from harness.findings.processes.circuit_search import Search
from harness.findings.sweeps import mean_activations, swept
from harness.foreign import parsed
from harness.interventions.interventions import ABLATIONS, Intervention
from harness.interventions.sites import Site
from harness.materials.items import Item, PromptSet
from harness.study.study import Study
from harness.study.subject import Subject

RANKING_VERSION = 4  # raise it when what is measured of a network changes its meaning
ATTRIBUTION = "attribution"  # gradients on the way to the ablation of all, as neurons are ranked
WAYS = (*(method.name for method in ABLATIONS), ATTRIBUTION)


def prompts_of(folder: Path, programs: Sequence[str]) -> PromptSet:
    """A network's materials, as whoever taught it wrote them: inputs that were held out.

    Args:
        folder: Of the network.
        programs: By number; the task of an item is the one that it asks for.
    """
    items = [
        Item(
            id=str(number),
            task=programs[told["which"]],
            prompt=told["prompt"],
            pair=str(number),
            answer=told["answer"],
            distractors=tuple(told["distractors"]),
            counterfactual_prompt=told["counterfactual_prompt"],
            counterfactual_answer=told["counterfactual_answer"],
        )
        for number, told in enumerate(parsed((folder / "prompts.json").read_bytes()))
    ]
    return PromptSet("programs", tuple(items))


def sites_of(subject: Subject) -> list[Site]:
    """Every head and MLP, layer by layer."""
    shape = subject.architecture
    return [
        site
        for layer in range(shape.layers)
        for site in (*(Site("head", layer, h) for h in range(shape.heads)), Site("mlp", layer))
    ]


def scores(
    subject: Subject, prompts: PromptSet, sites: Sequence[Site]
) -> dict[str, Float[np.ndarray, " site"]]:
    """By way to rank, what the loss of each component costs: a share of the logit difference.

    Over the prompts that are answered right. The mean ablation is what the search of h5 ranks by;
    the other ablations, and the attribution, are beside.
    """
    found = {}
    for method in ABLATIONS:
        each = [Intervention((site,), method) for site in sites]
        result = swept(subject, prompts, each, means_over=prompts)
        right = result.answered
        intact = result.clean_logit_difference[right].mean()
        found[method.name] = result.lost[:, right].mean(1) / intact
    found[ATTRIBUTION] = _attributed(subject, prompts, sites)
    return found


def _attributed(
    subject: Subject, prompts: PromptSet, sites: Sequence[Site]
) -> Float[np.ndarray, " site"]:
    """Heads by their path scores, an MLP by the sum over its neurons."""
    reference = mean_activations(subject, subject.model, prompts)
    right = subject.answers(prompts).correct == 1
    head, neuron = (
        subject.model.path_scores(prompts.items, kind, reference, steps=PATH_STEPS).scores[right]
        for kind in ("head", "neuron")
    )
    heads, mlps = head.mean(0), neuron.sum(2).mean(0)
    return np.array([mlps[s.layer] if s.kind == "mlp" else heads[s.layer, s.index] for s in sites])


def compared(
    score: Float[np.ndarray, " site"], positive: Bool[np.ndarray, " site"]
) -> dict[str, Any]:
    """How scores tell the components of the circuit.

    Found are those whose loss costs more than h5 lets another cell lose.
    """
    passed = score > claim_module("h5").rule.margin
    found = stats.recovery(score, passed, positive)
    return {
        "auroc": found.auroc,  # every program leaves some head and some component out
        "positives": found.positives,
        "negatives": found.negatives,
        "found": found.found,
        "found_own": int((passed & positive).sum()),
        "least_own": float(score[positive].min()),
        "most_outside": float(score[~positive].max()),
    }


def searched(study: Study, program: str, own: Collection[Member]) -> dict[str, Any]:
    """What h5's search for heads makes of a program, beside another one in the same network.

    `auroc` is of the search's ranking: what heads cost the program beyond the other one. Beside it
    stands `auroc_cost`: what they cost the program, whatever the other one loses.

    Args:
        study: The network on the prompts of both.
        program: That a circuit is looked for.
        own: Its heads; all others count against the search, also those of the other program.
    """
    search = Search(study, "head", study.prompts, claim_module("h5").rule)
    asked = np.array([item.task == program for item in study.prompts.items])
    cost = search.mean_cost(asked)
    found = search.circuit([asked, ~asked])
    ways = {"auroc": search.scores([asked, ~asked]), "auroc_cost": cost}
    positive = np.array([place in own for place in np.ndindex(*cost.shape)])
    return {
        "of": program,
        **{name: compared(score.ravel(), positive)["auroc"] for name, score in ways.items()},
        "positives": int(positive.sum()),
        "negatives": int((~positive).sum()),
        "found": len(found.circuit),
        "found_own": sum(member in own for member in found.circuit.members),
        "beyond": found.score,
    }
