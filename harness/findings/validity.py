"""The findings of h0: is the instrument fit for this model and these materials."""

from collections.abc import Mapping

import numpy as np

from harness import stats
from harness.findings.direction.surface_baselines import surface_auc
from harness.findings.gates import paired_gate
from harness.findings.specialisation.contrasts import controlled_contrast
from harness.materials import surface
from harness.materials.items import PromptSet
from harness.materials.sets import domain_of, draw_plain, geography_published
from harness.study.causality import label_difference
from harness.study.generation import generated, has_options
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.verdict import Control, Effect, Evidence, Finding, Gate, Inconclusive, require

SHUFFLE_PERMUTATIONS = 199
GENERATED_TOKENS = 32  # of an answer to multiple choice


def _errors(subject: Subject, names: Mapping[str, str], tolerance: Mapping[str, float]) -> Finding:
    found = subject.self_check()
    bound = tolerance[subject.architecture.dtype]
    return Finding(
        tuple(
            Evidence(
                text,
                Effect("largest relative error", found[name], method="every layer"),
                threshold=bound,
                relation="<=",
                n=subject.architecture.layers,
            )
            for name, text in names.items()
        )
    )


def hooks_finding(subject: Subject, tolerance: Mapping[str, float]) -> Finding:
    """Logits with and without hooks; heads and neurons against the outputs they make up."""
    names = {
        "hooked": "logits with hooks against without",
        "head_sum": "sum of the heads' outputs against the attention's",
        "neuron_sum": "sum of the neurons' outputs against the MLP's",
        "pattern_sum": "attention rows against one",
    }
    return _errors(subject, names, tolerance)


def padding_finding(subject: Subject, tolerance: Mapping[str, float]) -> Finding:
    """Residual stream in a padded batch against alone, and on a shared line against apart."""
    names = {"padded": "residual stream, padded against alone"}
    if "shared" in subject.self_check():  # a model whose prompts cannot share lines has none
        names["shared"] = "residual stream, prompts on one line against apart"
    return _errors(subject, names, tolerance)


def sites_finding(subject: Subject) -> Finding:
    """The least that zeroing any site moves the last logits."""
    moved = Effect("smallest relative change", subject.self_check()["zeroed"], method="every layer")
    evidence = Evidence(
        "logits with a site zeroed",
        moved,
        threshold=0.0,
        relation=">",
        n=subject.architecture.layers,
    )
    return Finding((evidence,))


def competence_finding(study: Study, gate: float) -> Finding:
    """Accuracy of each task on plain and on crossed prompts, each with its interval."""
    if not study.has_answers:
        reason = f"{study.prompts.name} carries no answers: competence cannot be measured"
        shown = Evidence("accuracy", Effect("share", float("nan")), threshold=gate, relation=">=")
        return Finding((shown,), gates=(Gate("answers", False, reason),))
    sets: list[tuple[str, PromptSet, tuple[str, ...]]] = []
    domain = domain_of(study.prompts)
    if domain is not None and study.prompts.crossed:
        plain = study.plan.labelled(draw_plain(domain, study.plan.items, study.plan.seed))
        sets.append(("plain", plain, tuple(plain.count())))
    sets.append((study.prompts.name, study.prompts, tuple(study.prompts.count())))
    # The first control crosses lookup with reasoning: what is missing from the main set.
    sets += [(c.prompts.name, c.prompts, ("lookup",)) for c in study.lookup_controls()[:1]]
    rows, units = [], {}
    for name, prompts, tasks in sets:
        answers = study.subject.answers(prompts)
        labels = np.array([item.task for item in prompts.items])
        pairs = np.array([item.pair for item in prompts.items])
        for task in tasks:
            hits = answers.correct[labels == task]
            units[f"{task} accuracy, {name}"] = _share_by_pair(hits, pairs[labels == task])
            exact = float(answers.exact[labels == task].mean())
            k, n = int(hits.sum()), len(hits)
            rows.append(
                Evidence(
                    f"{task} accuracy, {name}",
                    Effect(
                        "share",
                        k / n,
                        stats.binomial_interval(k, n),
                        method=f"answer above every distractor; greedy exact match {exact:.2f}",
                    ),
                    threshold=gate,
                    relation=">=",
                    n=n,
                )
            )
    return Finding((*rows, *_generated(study)), units=units)


def _generated(study: Study) -> list[Evidence]:
    """Beside, where prompts show options by letter: which of them greedy text names."""
    if not has_options(study.prompts):
        return []
    text = generated(study.subject, study.prompts, GENERATED_TOKENS)
    labels = np.array([item.task for item in study.prompts.items])
    rows = []
    for task in study.prompts.count():
        parsed, right = (x[labels == task] for x in (text.parsed, text.right))
        k, n = int(right.sum()), len(right)
        method = (
            f"greedy, {GENERATED_TOKENS} tokens; parsed {parsed.mean():.2f}, what is not parsed is "
            "wrong"
        )
        effect = Effect("share right", k / n, stats.binomial_interval(k, n), method=method)
        rows.append(Evidence(f"{task} generated", effect, n=n))
    return rows


def _share_by_pair(hits: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
    """Share of each pair's items that were answered: items of a pair are not independent."""
    names, of = np.unique(pairs, return_inverse=True)
    right = np.bincount(of, weights=hits.astype(float)) / np.bincount(of)
    return dict(zip(names.tolist(), right.tolist(), strict=True))


def balance_finding(study: Study, most: float) -> Finding:
    """Exact balance of tokens, positions and lengths, and what a classifier makes of the rest."""
    prompts = study.prompts
    balance = surface.token_balance(prompts.items, study.subject.token_ids(prompts), prompts.tasks)
    n = len(prompts.pairs)
    rows = [
        Evidence(
            text,
            Effect("largest difference of counts", value),
            threshold=0,
            relation="<=",
            n=n,
        )
        for text, value in (
            ("tokens, between tasks", balance.tokens),
            ("tokens at positions, between tasks", balance.positions),
            ("lengths, between tasks", balance.lengths),
        )
    ]
    rows.append(
        Evidence(
            "surface classifier on these prompts",
            Effect("AUC", surface_auc(study, prompts), method="5 folds, pairs kept together"),
            threshold=most,
            relation="<=",
            n=n,
        )
    )
    published = study.plan.labelled(geography_published())
    shown = Control(
        "surface classifier on the published prompts",
        surface_auc(study, published),
        None,
        note="AUC; 0.5 is chance",
    )
    return Finding(tuple(rows), (shown,))


def causality_finding(study: Study, tolerance: Mapping[str, float]) -> Finding:
    """Residual stream at the token before the label, between the two labels."""
    if not study.prompts.crossed:
        reason = (
            f"{study.prompts.name} is not crossed: no position is free of the task by causality"
        )
        raise Inconclusive(Gate("crossed", False, reason))
    found = label_difference(study.subject, study.prompts)
    before, at_end = found.largest, found.largest_at_end
    # A label that changes nothing even at the end leaves nothing to compare with: undefined.
    relative = before / at_end if at_end else float("nan")
    return Finding(
        (
            Evidence(
                "residual stream at the token before the label",
                Effect(
                    "largest difference between labels",
                    relative,
                    method="relative to the largest difference at the last token",
                ),
                threshold=tolerance[study.subject.architecture.dtype],
                relation="<=",
                n=found.compared,
            ),
            Evidence(
                "residual stream at the last token",
                Effect("largest difference between labels", at_end),
                threshold=0.0,
                relation=">",
                n=found.compared,
            ),
        )
    )


def uniformity_finding(study: Study, shuffles: int, least: float) -> Finding:
    """Max-statistic p of the head metrics under shuffled labels, against the uniform."""
    require(paired_gate(study))
    c = controlled_contrast("head", study.activations, study.prompts)
    blocks = c.blocks(np.arange(len(c.values)))
    if blocks is not None and len(set(blocks)) < 2:
        reason = (
            f"{study.prompts.name} is not crossed and has one template a task: there is one unit, "
            "and nothing to shuffle"
        )
        none = Evidence("excess of small p-values", Effect("p", 1.0), threshold=0, relation=">=")
        return Finding((none,), gates=(Gate("units", False, reason),))
    drawn = stats.random_signs(np.arange(len(c.values)), draws=shuffles, seed=study.plan.seed)
    smallest = []
    for shuffle, signs in enumerate(drawn):
        test = stats.sign_flip_max(
            c.flipped(signs).values, permutations=SHUFFLE_PERMUTATIONS, seed=shuffle, blocks=blocks
        )
        smallest.append(float(np.min(test.p_adjusted)))
    found = stats.uniformity(np.array(smallest), levels=round(1 / test.floor))
    below = float(np.mean(np.array(smallest) <= 0.05))
    k = round(below * shuffles)
    return Finding(
        (
            Evidence(
                "excess of small p-values",
                Effect("p of the one-sided Kolmogorov-Smirnov test", found.p_excess),
                threshold=least,
                relation=">=",
                n=shuffles,
            ),
            Evidence(
                "shuffles significant at 0.05",
                Effect(
                    "share", below, stats.binomial_interval(k, shuffles), method="Clopper-Pearson"
                ),
                n=shuffles,
            ),
        )
    )
