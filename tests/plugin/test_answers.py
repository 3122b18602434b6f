"""What the models were asked and answered, as the file of a run holds it."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from harness.activations.extracted import Answers
from harness.adapter.scoring import Scored, answers_of
from harness.materials.items import Item, PromptSet
from harness.plugin.answers import answers_frame
from harness.plugin.run import Run
from harness.study.subject import Answered
from harness.verdicts.records import ANSWERS_NAME


def item(name, answer="Paris", distractors=("Rome", "Oslo")):
    return Item(name, "recall", f"Q {name}", "p", answer=answer, distractors=distractors)


def frame():
    items = (item("right"), item("wrong"), item("open", distractors=()), item("none", answer=""))
    scored = [
        [Scored(-0.1, True), Scored(-3.0, False), Scored(-2.0, False)],
        [Scored(-4.0, False), Scored(-0.5, False), Scored(-1.0, False)],
        [Scored(-0.2, True)],
        [],
    ]
    prompts = PromptSet("mine", items)
    subject = SimpleNamespace(
        spec=SimpleNamespace(name="m"), texts=lambda p: [f"<s>{i.prompt}" for i in p.items]
    )
    return answers_frame(subject, Answered(prompts, answers_of(scored)))


def test_the_answer_is_the_candidate_with_the_highest_log_probability():
    table = frame().set_index("item")
    assert list(table.chosen) == ["Paris", "Rome", "Paris"]
    assert list(table.right) == [True, False, None]
    assert table.loc["wrong", "log_probability"] == -4.0
    np.testing.assert_allclose(list(table.best_other[:2]), [-2.0, -0.5], rtol=1e-6)
    assert json.loads(table.loc["right", "options"]) == ["Rome", "Oslo"]


def test_prompts_stand_as_the_model_read_them_and_only_those_with_an_answer():
    assert list(frame().prompt) == ["<s>Q right", "<s>Q wrong", "<s>Q open"]


def test_a_set_that_several_workers_asked_stands_once(tmp_path):
    for _ in range(2):  # a worker each
        worker = Run(tmp_path / "report.html", run_id="run")
        worker.save_answers(frame(), "hash")
        worker.save_answers(frame(), "hash")
    controller = Run(tmp_path / "report.html", run_id="run")
    merged = controller._merge_answers()
    assert len(merged) == 3
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / ANSWERS_NAME), merged)


def test_a_run_that_asked_nothing_writes_nothing(tmp_path):
    assert Run(tmp_path / "report.html", run_id="run")._merge_answers() is None
    assert not (tmp_path / ANSWERS_NAME).exists()


def test_every_array_of_the_answers_is_stored():
    assert set(answers_of([[]]).arrays()) == set(Answers.__slots__)
