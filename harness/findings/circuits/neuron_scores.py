"""What each neuron contributes, where one alone costs next to nothing; from the store."""

from harness.activations.swept import PathScores
from harness.findings.sweeps import mean_activations
from harness.materials.items import PromptSet
from harness.study.subject import Subject

SCORES_VERSION = 2  # raise it when a score changes its meaning
PATH_STEPS = 5  # forwards and backwards a prompt; ten rank alike (docs/decisions/0006)


def neuron_scores(subject: Subject, prompts: PromptSet) -> PathScores:
    """What each neuron contributes on the way to the mean ablation of all; stored."""
    what = {
        "kind": "neuron scores",
        "version": SCORES_VERSION,
        "means": prompts.hash,
        "steps": PATH_STEPS,
    }
    arrays = subject.fetch(
        what,
        prompts,
        lambda model, items: model.path_scores(
            items, "neuron", mean_activations(subject, model, prompts), steps=PATH_STEPS
        ).arrays(),
    )
    return PathScores.from_arrays(arrays)
