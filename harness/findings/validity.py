"""The other findings of h0: is the instrument fit for this model and these materials."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.direction.surface_baselines import stored_surface_auc
from harness.findings.processes.contrasts import Questions, exchanged, relation_contrasts
from harness.findings.processes.kinds import COMPOSING
from harness.findings.processes.materials import design_gates, relations_of
from harness.findings.specialisation.cells import controlled_cells
from harness.materials import surface
from harness.materials.items import EVALUATION
from harness.materials.sets import geography_published
from harness.study.causality import label_difference
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

SHUFFLE_PERMUTATIONS = 199
SHUFFLE_ALPHA = 0.05  # the share of shuffles that are significant at it is secondary


def hooks_finding(subject: Subject, tolerance: Mapping[str, float]) -> Finding:
    """Logits with and without hooks; heads and neurons against the outputs they add up to."""
    names = {
        "hooked": "logits with hooks against without",
        "head_sum": "sum of the heads' outputs against the attention's",
        "neuron_sum": "sum of the neurons' outputs against the MLP's",
        "pattern_sum": "attention rows against one",
    }
    return _errors(subject, names, tolerance)


def padding_finding(subject: Subject, tolerance: Mapping[str, float]) -> Finding:
    """The residual stream of a prompt, padded and behind a shared prefix, against alone.

    A model whose prompts cannot share a prefix is checked for padding only. The last token must be
    the prompt's own: what a tokenizer appends would be measured in its place.
    """
    names = {"padded": "residual stream, padded against alone"}
    if "shared" in subject.self_check():
        names["shared"] = "residual stream, behind a shared prefix against alone"
    ends = Evidence(
        "texts that end in a token that is not their own",
        Effect("texts", subject.self_check()["foreign_ends"], method="special tokens"),
        threshold=0,
        relation="<=",
        n=2,
    )
    errors = _errors(subject, names, tolerance)
    return replace(errors, evidence=(*errors.evidence, ends))


def _errors(subject: Subject, names: Mapping[str, str], tolerance: Mapping[str, float]) -> Finding:
    """Errors of the self-check by name, each against the tolerance of the model's dtype."""
    errors = subject.self_check()
    rows = (
        Evidence(
            text,
            Effect("largest relative error", errors[name], method="every layer"),
            threshold=tolerance[subject.architecture.dtype],
            relation="<=",
            decided_by="estimate",
            n=subject.architecture.layers,
        )
        for name, text in names.items()
    )
    return Finding(tuple(rows))


def sites_finding(subject: Subject) -> Finding:
    """The smallest change of the last logits when any one site is zeroed."""
    change = subject.self_check()["zeroed"]
    evidence = Evidence(
        "logits with a site zeroed",
        Effect("smallest relative change", change, method="every layer"),
        threshold=0.0,
        relation=">",
        decided_by="estimate",
        n=subject.architecture.layers,
    )
    return Finding((evidence,))


def balance_finding(study: Study, most: float) -> Finding:
    """Exact balance of tokens, positions and lengths, and what a classifier makes of the rest."""
    classifier = Evidence(
        "surface classifier on these prompts",
        Effect(
            "AUC", stored_surface_auc(study, study.prompts), method="5 folds, pairs kept together"
        ),
        threshold=most,
        relation="<=",
        n=len(study.prompts.pairs),
    )
    published = Control(
        "surface classifier on the published prompts",
        stored_surface_auc(study, study.plan.labelled(geography_published())),
        None,
        note="AUC; 0.5 is chance",
    )
    return Finding((*_token_balance(study), classifier), (published,))


def _token_balance(study: Study) -> Iterator[Evidence]:
    """The counts that must be equal between the tasks."""
    prompts = study.prompts
    balance = surface.token_balance(prompts.items, study.subject.token_ids(prompts), prompts.tasks)
    for text, value in (
        ("tokens, between tasks", balance.tokens),
        ("tokens at positions, between tasks", balance.positions),
        ("lengths, between tasks", balance.lengths),
    ):
        difference = Effect("largest difference of counts", value)
        yield Evidence(text, difference, threshold=0, relation="<=", n=len(prompts.pairs))


def causality_finding(study: Study, tolerance: Mapping[str, float]) -> Finding:
    """The residual stream at the token before the label does not differ between the labels."""
    unmet = f"{study.prompts.name} is not crossed: no position is free of the task by causality"
    require(Gate.of("crossed", study.prompts.crossed, unmet=unmet))
    difference = label_difference(study.subject, study.prompts)
    unmet = "tokens of this model see those after them: before the label, differences are possible"
    require(Gate.of("causal", difference.causal, unmet=unmet))
    before, at_end = difference.largest, difference.largest_at_end
    # If the label changes nothing even at the end, there is nothing to compare with: undefined.
    relative = Effect(
        "largest difference between labels",
        before / at_end if at_end else float("nan"),
        method="relative to the largest difference at the last token",
    )
    return Finding(
        (
            Evidence(
                "residual stream at the token before the label",
                relative,
                threshold=tolerance[study.subject.architecture.dtype],
                relation="<=",
                decided_by="estimate",
                n=difference.compared,
            ),
            Evidence(
                "residual stream at the last token",
                Effect("largest difference between labels", at_end),
                threshold=0.0,
                relation=">",
                decided_by="estimate",
                n=difference.compared,
            ),
        )
    )


def uniformity_finding(study: Study, shuffles: int, least: float) -> Finding:
    """The p of h2, the smallest of any head, under shuffled labels, against the uniform."""
    require(*design_gates(study.prompts, COMPOSING.cells))
    smallest, floor = _smallest_p(study, shuffles)
    uniformity = stats.uniformity(smallest, levels=round(1 / floor))
    significant = int((smallest <= SHUFFLE_ALPHA).sum())
    excess = Effect("p of the one-sided Kolmogorov-Smirnov test", uniformity.p_excess)
    share = Effect(
        "share",
        significant / shuffles,
        stats.binomial_interval(significant, shuffles),
        method="Clopper-Pearson",
    )
    return Finding(
        (
            Evidence(
                "excess of small p-values", excess, threshold=least, relation=">=", n=shuffles
            ),
            Evidence(f"shuffles significant at {SHUFFLE_ALPHA:g}", share, n=shuffles),
        )
    )


def _smallest_p(study: Study, shuffles: int) -> tuple[Float[np.ndarray, " shuffle"], float]:
    """The smallest adjusted p of any head under each shuffle, and the smallest that is possible.

    In every block of questions (those of the same stories) a fair coin exchanges the two cells.
    """
    prompts, cells = study.prompts, COMPOSING.cells
    relations = relations_of(prompts, cells)
    values = controlled_cells("head", study.activations).values
    questions = Questions.of(values, prompts.items)
    questions = questions.rows(questions.split == EVALUATION)
    generator = np.random.default_rng(study.plan.seed)
    tests = []
    for shuffle in range(shuffles):
        drawn = replace(questions, asked=exchanged(questions, cells, generator))
        contrasts = relation_contrasts(drawn, cells, relations)
        tests.append(
            stats.moderated_max(contrasts, permutations=SHUFFLE_PERMUTATIONS, seed=shuffle)
        )
    return np.array([test.p_adjusted.min() for test in tests]), tests[0].floor
