"""The findings of h0: is the instrument fit for this model and these materials."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.direction.surface_baselines import stored_surface_auc
from harness.findings.gates import answers_gate, asked
from harness.findings.processes.contrasts import Questions, exchanged, relation_contrasts
from harness.findings.processes.kinds import CELLS, COMPOSING
from harness.findings.processes.materials import design_gates, relations_of
from harness.findings.specialisation.cells import controlled_cells
from harness.materials import surface
from harness.materials.cell_sets import draw_cells, whole_cells
from harness.materials.items import EVALUATION, PromptSet
from harness.materials.sets import domain_of, draw_plain, geography_published
from harness.study.causality import label_difference
from harness.study.generation import generated, has_options
from harness.study.study import Study
from harness.study.subject import Subject
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding, require

SHUFFLE_PERMUTATIONS = 199
SHUFFLE_ALPHA = 0.05  # the share of shuffles that are significant at it is secondary
GENERATED_TOKENS = 32  # of an answer to multiple choice


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


@dataclass(frozen=True, slots=True)
class Answered:
    """How the prompts of one task are answered.

    Attributes:
        name: Of the evidence.
        correct: 1 where the answer beats every distractor, else 0.
        exact: 1 where greedy decoding begins with the answer, else 0.
        pair: Name of each prompt's pair.
        decides: Whether they must be answered.
    """

    name: str
    correct: Float[np.ndarray, " prompt"]
    exact: Float[np.ndarray, " prompt"]
    pair: np.ndarray
    decides: bool


def competence_finding(study: Study, gate: float) -> Finding:
    """Accuracy of each task on plain and on crossed prompts, each with its interval.

    Of the cells the plain prompts decide: where crossed ones are not answered, claims on them are
    judged on plain prompts. So no more crossed ones are asked than it takes to see that.
    """
    require(answers_gate(study))
    answered: list[Answered] = []
    for asks in _sets(study):
        of_set = replace(study, prompts=asks.prompts)
        answered += _answered(asked(of_set, gate, asks.tasks, surely=asks.decides), asks)
    evidence = tuple(_accuracy(task, gate) for task in answered)
    samples = {task.name: _share_by_pair(task) for task in answered}
    thinking = study.subject.thinking if not all(e.passed for e in evidence) else ""
    notes = (thinking,) if thinking else ()
    return Finding((*evidence, *_generated(study)), samples=samples, notes=notes)


@dataclass(frozen=True, slots=True)
class Asks:
    """Prompts on which competence is measured.

    Attributes:
        name: In the evidence.
        tasks: Those that are measured.
        decides: Whether they must be answered.
    """

    name: str
    prompts: PromptSet
    tasks: tuple[str, ...]
    decides: bool = True


def _sets(study: Study) -> Iterator[Asks]:
    """Every set on which competence is measured."""
    prompts, plan = study.prompts, study.plan
    whole = whole_cells(prompts.name)
    if whole is not None:
        cells, difficulty = whole
        name = replace(cells, tasks=None, cell="", crossed=False).named(difficulty)
        yield Asks("plain", plan.labelled(draw_cells(name, plan.items, plan.seed)), CELLS)
    domain = domain_of(prompts)
    if domain is not None and prompts.crossed:
        plain = plan.labelled(draw_plain(domain, plan.items, plan.seed))
        yield Asks("plain", plain, tuple(plain.count()))
    if whole is None or prompts.crossed:
        yield Asks(prompts.name, prompts, tuple(prompts.count()), decides=whole is None)
    # The first control crosses lookup with reasoning: lookup is missing from the main set.
    for control in study.lookup_controls()[:1]:
        yield Asks(control.prompts.name, control.prompts, ("lookup",))


def _answered(study: Study, asks: Asks) -> Iterator[Answered]:
    prompts = study.prompts
    answers = study.subject.answers(prompts)
    task_of = np.array([item.task for item in prompts.items])
    pair = np.array([item.pair for item in prompts.items])
    for task in asks.tasks:
        rows = task_of == task
        yield Answered(
            f"{task} accuracy, {asks.name}",
            answers.correct[rows],
            answers.exact[rows],
            pair[rows],
            asks.decides,
        )


def _accuracy(task: Answered, gate: float) -> Evidence:
    k, n = int(task.correct.sum()), len(task.correct)
    exact = float(task.exact.mean())
    return Evidence(
        task.name,
        Effect(
            "share",
            k / n,
            stats.binomial_interval(k, n),
            method=f"answer above every distractor; greedy exact match {exact:.2f}",
        ),
        threshold=gate if task.decides else None,
        relation=">=" if task.decides else "secondary",
        n=n,
    )


def _share_by_pair(task: Answered) -> dict[str, float]:
    """Share of the items of each pair answered correctly: items of a pair are not independent."""
    names, number = np.unique(task.pair, return_inverse=True)
    correct = np.bincount(number, weights=task.correct.astype(float)) / np.bincount(number)
    return dict(zip(names.tolist(), correct.tolist(), strict=True))


def _generated(study: Study) -> list[Evidence]:
    """Secondary, where prompts show options by letter: which of them the greedy text names."""
    if not has_options(study.prompts):
        return []
    text = generated(study.subject, study.prompts, GENERATED_TOKENS)
    task_of = np.array([item.task for item in study.prompts.items])
    rows = []
    for task in study.prompts.count():
        parsed, right = (x[task_of == task] for x in (text.parsed, text.right))
        k, n = int(right.sum()), len(right)
        method = (
            f"greedy, {GENERATED_TOKENS} tokens; parsed {parsed.mean():.2f}, what is not parsed is "
            "wrong"
        )
        effect = Effect("share right", k / n, stats.binomial_interval(k, n), method=method)
        rows.append(Evidence(f"{task} generated", effect, n=n))
    return rows


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
    reason = f"{study.prompts.name} is not crossed: no position is free of the task by causality"
    require(Gate("crossed", study.prompts.crossed, reason))
    difference = label_difference(study.subject, study.prompts)
    reason = "tokens of this model see those after them: before the label, differences are possible"
    require(Gate("causal", difference.causal, reason))
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
