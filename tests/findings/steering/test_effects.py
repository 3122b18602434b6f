"""Effects on both tasks, by pair."""

import numpy as np

from harness.activations.swept import SweepResult
from harness.findings.effects import effects_on_all
from harness.materials.items import Item, PromptSet


def test_pairs_are_the_unit():
    items = [
        Item(f"{p}-{t}-{n}", t, "x", p, answer="yes", distractors=("no",))
        for p in ("a", "b")
        for t in ("recall", "reasoning")
        for n in range(2 if t == "recall" else 1)
    ][:-1]  # pair b lacks reasoning
    prompts = PromptSet("own", tuple(items))
    values = np.arange(5.0)
    result = SweepResult(
        **dict.fromkeys(("log_probability", "divergence"), values[None]),
        logit_difference=2 * values[None],
        correct=(values[None] > 1).astype(float),
        clean_log_probability=values,
        clean_logit_difference=values,
        clean_correct=np.ones(5),
        scorable=np.ones(5, bool),
        applicable=np.ones((1, 5), bool),
    )
    first, second = (effects_on_all(result, prompts, t) for t in prompts.tasks)
    assert first.logit_difference.tolist() == [[0.5, 3.5]]
    assert first.after.tolist() == [[0.0, 1.0]]
    assert second.scored.tolist() == [True, False]
    assert second.mean[0] == 2.0
    assert second.share[0] == 1.0
