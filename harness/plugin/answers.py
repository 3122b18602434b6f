"""What a model was asked in a run and what it answered: the rows of `answers.parquet`."""

import json
from typing import TYPE_CHECKING

import numpy as np

from harness.study.subject import Answered, Subject

if TYPE_CHECKING:
    import pandas as pd


def answers_frame(subject: Subject, answered: Answered) -> "pd.DataFrame":
    """A row a prompt that has an answer: the prompt as the model read it, and how it did.

    Columns:
        model, materials, item, task, pair, split: Which prompt it is.
        prompt: The text the model read, its chat template included.
        answer: The right continuation; `options` the wrong ones, as a JSON list. The model sees
            neither: each is scored as a continuation of the prompt.
        chosen: The candidate with the highest log-probability.
        right: Whether that is the answer; empty where there is nothing to choose from.
        greedy: Whether greedy decoding begins with the answer.
        log_probability: Of the answer, nats; `best_other` of the best wrong option.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import, and not needed to list tests

    rows = []
    values, texts = answered.answers, subject.texts(answered.prompts)
    for at, (item, text) in enumerate(zip(answered.prompts.items, texts, strict=True)):
        if not item.answer or np.isnan(values.log_probability[at]):
            continue
        log_probability, margin = (
            float(values.log_probability[at]),
            float(values.logit_difference[at]),
        )
        choice = bool(item.distractors)
        right = bool(values.correct[at]) if choice else None
        rival = item.distractors[int(values.rival[at])] if choice else ""
        rows.append(
            {
                "model": subject.spec.name,
                "materials": answered.prompts.name,
                "item": item.id,
                "task": item.task,
                "pair": item.pair,
                "split": item.split,
                "prompt": text,
                "answer": item.answer,
                "options": json.dumps(item.distractors, ensure_ascii=False),
                "chosen": item.answer if right or not choice else rival,
                "right": right,
                "greedy": bool(values.exact[at]),
                "log_probability": log_probability,
                "best_other": log_probability - margin if choice else None,
            }
        )
    return pd.DataFrame(rows)
