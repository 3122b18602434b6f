"""Surface baselines: how well length, words, template or domain alone tell two tasks apart.

A direction that does no better than these shows that prompts differ, not that a model reasons.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from harness import stats
from harness.findings.direction.separation import Labelled, Separation, separation
from harness.materials import surface
from harness.materials.items import DISCOVERY, EVALUATION, PromptSet
from harness.study.study import Study
from harness.verdicts.evidence import Gate
from harness.verdicts.judge import Inconclusive

NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class SurfaceBaseline:
    """How well something other than the model tells the tasks of evaluation prompts apart."""

    name: str
    separation: Separation
    note: str


def surface_baselines(study: Study, labelled: Labelled) -> list[SurfaceBaseline]:
    """Prompt length first. All but words are fitted on discovery, judged on evaluation prompts."""
    baselines = [
        SurfaceBaseline(
            "prompt length alone",
            _held_out(study, labelled, prompt_lengths(study)),
            "AUC; tokens, the longer task known from discovery",
        ),
        SurfaceBaseline("words alone", _words(study, labelled), "AUC; token counts, five folds"),
    ]
    for name, values in (("template", labelled.template), ("domain", labelled.domain)):
        if len(np.unique(values[labelled.side != 0])) > 1:
            scores = _share_by_name(labelled, values)
            note = f"AUC; share of each {name} on discovery"
            separation = _held_out(study, labelled, scores)
            baselines.append(SurfaceBaseline(f"{name} alone", separation, note))
    return baselines


def prompt_lengths(study: Study) -> Float[np.ndarray, " prompt"]:
    """Tokens of each prompt, as the model reads it."""
    return np.array([len(row) for row in study.subject.token_ids(study.prompts)], dtype=np.float64)


def _held_out(study: Study, labelled: Labelled, scores: np.ndarray) -> Separation:
    """AUC on evaluation prompts, of the sign that the scores have on discovery prompts."""
    discovery, evaluation = (labelled.within(s) for s in (DISCOVERY, EVALUATION))
    above, below = (scores[discovery & (labelled.side == s)].mean() for s in (1, -1))
    sign = -1.0 if above < below else 1.0
    return separation(
        sign * scores[evaluation],
        labelled.rows(evaluation),
        resamples=study.plan.resamples,
        seed=study.plan.seed,
    )


def _share_by_name(labelled: Labelled, names: np.ndarray) -> Float[np.ndarray, " prompt"]:
    """Share of the second task among discovery prompts of the same name; over all if none."""
    discovery = labelled.within(DISCOVERY)
    share = np.full(len(names), labelled.positive[discovery].mean())
    for name in np.unique(names[discovery]):
        share[names == name] = labelled.positive[discovery & (names == name)].mean()
    return share


def _words(study: Study, labelled: Labelled) -> Separation:
    """`stored_surface_auc` of the two tasks, its interval from its size and the number of prompts.

    It trains on four fifths of all prompts, the direction on half: the baseline has the advantage.
    """
    prompts = study.prompts
    if not labelled.side.all():
        prompts = prompts.where(lambda item: item.task in prompts.tasks)
    auc = stored_surface_auc(study, prompts)
    used = labelled.side[labelled.side != 0]
    error = auc_standard_error(auc, int((used > 0).sum()), int((used < 0).sum()))
    low, high = (min(max(auc + z * error, 0.0), 1.0) for z in (-NORMAL_95, NORMAL_95))
    return Separation(auc, low, high)


def auc_standard_error(auc: float, treated: int, control: int) -> float:
    """Standard error of an AUC from its size and the number of prompts; 0 at an AUC of 0 or 1.

    Source: Hanley and McNeil 1982 (exponential scores, independent prompts).
    """
    one = auc / (2 - auc)
    two = 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (treated - 1) * (one - auc**2) + (control - 1) * (two - auc**2)
    return math.sqrt(max(spread, 0.0) / (treated * control))


def stored_surface_auc(study: Study, prompts: PromptSet) -> float:
    """`stats.surface_auc` of token counts and length, pairs kept together.

    Kept in the store, because fitting it and importing the library that fits it are slow.

    Raises:
        Inconclusive: If the pairs are too few or too uneven for folds that hold both tasks.
    """
    subject = study.subject
    key = {
        "kind": "surface",
        "features": subject.identity["features"],
        "materials": prompts.hash,
        "tokenizer": subject.identity["tokenizer"],
        "chat_template": subject.options.chat_template,
    }
    stored = subject.store.fetch_json(key, lambda: {"auc": _fit_surface(study, prompts)})
    return float(stored["auc"])


def _fit_surface(study: Study, prompts: PromptSet) -> float:
    labels = np.array([item.task == prompts.tasks[0] for item in prompts.items])
    features = surface.surface_features(prompts.items, study.subject.token_ids(prompts))
    try:
        return stats.surface_auc(features, labels, [item.pair for item in prompts.items])
    except stats.TooFewGroups as error:
        reason = f"{prompts.name} is too small for a surface classifier: {error}"
        raise Inconclusive(Gate("surface classifier", False, reason)) from None
