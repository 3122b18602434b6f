"""Claims run on people's own labelled sets; what cannot be said of them is said."""

import json

from harness.commands import main
from tests.commands.test_prompts import questions, write
from tests.support.inner_runs import run_hypotheses


def test_a_labelled_set_without_answers_or_pairs_is_measured_as_far_as_it_goes(tmp_path):
    rows = [{k: row[k] for k in ("question", "label", "subject")} for row in questions(60)]
    path = write(tmp_path, rows, "mine.jsonl")
    status, text = run_hypotheses(
        ["test_h0_measurement.py", "test_h2_heads.py"],
        *("-k", "answers or balanced or heads", "--model=mini-qwen", "--gate=none"),
        *(f"--prompts={path}", "--twins=1", "--permutations=200", "--resamples=100"),
        *(f"--cache-dir={tmp_path}", f"--report={tmp_path / 'out' / 'report.html'}"),
        "--no-controls",
    )
    assert status == 0, text
    records = json.loads((tmp_path / "out" / "verdicts.json").read_text())["verdicts"]
    found = {(r["claim_id"], r["criterion"], r["prediction_id"]): r for r in records}
    assert all(r["materials"]["n"] == {"recall": 30, "reasoning": 30} for r in records)
    answers = found["h0", "controlled", "the_model_answers"]
    assert answers["outcome"] == "inconclusive"
    assert "of the 60 prompts of mine, 60 have no answer" in answers["reason"]
    (published,) = [r for (_, criterion, _), r in found.items() if criterion == "published"]
    assert published["outcome"] in ("supported", "refuted")
    controlled = [r for k, r in found.items() if k[:2] == ("h2", "controlled")]
    assert [r["outcome"] for r in controlled] == ["inconclusive"] * 3
    for record in controlled:
        assert "mine does not say that it asks for recall and lookup" in record["reason"] or (
            "mine does not say that it asks for reasoning and lookup" in record["reason"]
        )


def run_cells(tmp_path, *options):
    status, text = run_hypotheses(
        ["test_h0_measurement.py"],
        *("-k", "answers", "--model=mini-qwen", "--gate=none", "--no-controls", "--items=6"),
        *(f"--cache-dir={tmp_path}", f"--report={tmp_path / 'out' / 'report.html'}"),
        *options,
    )
    assert status == 0, text
    (record,) = json.loads((tmp_path / "out" / "verdicts.json").read_text())["verdicts"]
    return record


def test_the_difficulty_of_cells_is_chosen_and_stated(tmp_path):
    record = run_cells(tmp_path, "--prompts=cells", "--order=told", "--chains=2")
    assert record["materials"]["name"] == "cells@chains2-shots2-told-steps2"
    chosen = run_cells(tmp_path, "--prompts=cells", "--order=told")
    name = chosen["materials"]["name"]
    (note,) = [note for note in chosen["notes"] if note.startswith("difficulty ")]
    assert name == f"cells@{note.split()[1].rstrip(':')}"
    assert "gate 0.40 of accuracy corrected for chance, 0.60 of accuracy" in note
    assert not any(note.startswith("difficulty") for note in record["notes"])


def test_a_difficulty_in_the_name_is_taken(tmp_path):
    name = "cells:recall-lookup@chains2-shots0-shuffled-steps3"
    assert run_cells(tmp_path, f"--prompts={name}")["materials"]["name"] == name


def test_a_difficulty_that_there_is_not_ends_the_run(capfd):
    options = ("--model=mini-qwen", "--prompts=cells", "--shots=4", "--chains=3")
    status, _ = run_hypotheses(["test_h0_measurement.py"], *options)
    assert status != 0
    said = "--shots 4 with --chains 3: every answer is demonstrated equally often"
    assert said in capfd.readouterr().err


def graded_questions(count):
    """Multiple choice with graded scores, as in MMLU-Pro-R/M; reasoning is longer, with digits."""
    for number, row in enumerate(questions(count)):
        reasoning = row["label"] == "Reasoning"
        yield {
            "question_id": number,
            "question": row["question"].removesuffix(f" {number}?") + (" 7?" if reasoning else "?"),
            "options": row["choices"],
            "answer_index": row["answer"],
            "category": ("law", "math")[reasoning],
            "memory_reason_score": (1 + number % 4) / 10 + 0.5 * reasoning,
        }


def test_a_graded_multiple_choice_file_is_judged_beside_what_alone_separates_it(tmp_path, capsys):
    path = write(tmp_path, graded_questions(40), "graded.jsonl")
    assert main(["prompts", "check", path]) == 0
    checked = capsys.readouterr().out
    assert "memory_reason_score is our score" in checked
    assert "digits present: AUC 1.00 (no overlap), more in reasoning" in checked
    status, text = run_hypotheses(
        ["test_h7_direction.py"],
        *("-k", "published", "--model=mini-qwen", "--gate=none", f"--prompts={path}"),
        *("--twins=1", "--permutations=200", "--resamples=100", "--no-controls"),
        *(f"--cache-dir={tmp_path}", f"--report={tmp_path / 'out' / 'report.html'}"),
    )
    assert status == 0, text
    (record,) = json.loads((tmp_path / "out" / "verdicts.json").read_text())["verdicts"]
    assert record["materials"]["n"] == {"recall": 20, "reasoning": 20}
    assert record["outcome"] in ("supported", "refuted")
    controls = {control["name"]: control for control in record["controls"]}
    for name in ("digits present alone", "subject alone"):
        assert (controls[name]["value"], controls[name]["passed"]) == (1, False)
    (note,) = [note for note in record["notes"] if note.startswith("confounds: ")]
    assert "told apart by digits present (AUC 1.00), subject (AUC 1.00), " in note
    assert note in (tmp_path / "out" / "report.html").read_text()
    rho = {e["name"]: e["effect"] for e in record["evidence"] if e["effect"]["name"] == "rho"}
    assert set(rho) == {
        "projection against the graded score",
        "prompt length against the graded score",
    }
    assert all("within recall" in effect["method"] for effect in rho.values())
