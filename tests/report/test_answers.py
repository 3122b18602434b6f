"""What the models were asked and answered: examples in the page, all of them under a filter."""

import re

import pandas as pd
import pytest

from harness.foreign import ForeignError
from harness.report.anchors import Anchors
from harness.report.answers import EACH, answer_sheets, read_answers
from harness.report.rendering import load_and_render, render
from harness.verdicts import records
from tests.support.sample_records import answers, sample


def test_a_sheet_counts_all_and_shows_five_right_and_five_wrong_of_each_class():
    (sheet,) = answer_sheets(answers(), Anchors())
    assert sheet.said == "recall 20 of 20 right, reasoning 10 of 20 right"
    shown = [(row["task"], row["right"]) for row in sheet.rows]
    assert [shown.count(k) for k in (("recall", True), ("recall", False))] == [EACH, 0]
    assert [shown.count(("reasoning", r)) for r in (True, False)] == [EACH, EACH]
    assert sheet.carried == sheet.total == 40


def test_a_part_of_a_set_stands_with_the_whole_set_alone():
    """Gates ask the first pairs alone, searches ask thirds: each under a name of its own."""
    whole = answers(materials="made")
    part = answers(materials="made, first 4 pairs").iloc[:8]
    same = answers(materials="made, asked again")
    other = answers("mini-llama", "made, first 4 pairs").iloc[:8]
    frame = pd.concat([part, same, whole, other])
    shown = [(sheet.model, sheet.materials) for sheet in answer_sheets(frame, Anchors())]
    assert shown == [("mini-qwen", "made"), ("mini-llama", "made, first 4 pairs")]


def test_what_has_no_options_is_neither_right_nor_wrong():
    frame = answers().assign(right=None, best_other=None, options="[]")
    (sheet,) = answer_sheets(frame, Anchors())
    assert sheet.said.startswith("recall 20, no options to choose from")


def test_the_page_says_what_the_model_sees_and_escapes_it(tmp_path):
    html = render(sample(), None, tmp_path / "r.html", answers=answers()).read_text()
    assert "It sees no options: the right answer and every wrong one are scored" in html
    assert "recall 0?\nIt is" in html
    assert "<script>window.pwned" not in html
    none = render(sample(), None, tmp_path / "none.html").read_text()
    assert 'id="answers"' not in none


def test_a_rebuilt_report_reads_them_from_the_run_s_folder(tmp_path):
    records.write_verdicts(tmp_path, sample())
    answers().to_parquet(tmp_path / records.ANSWERS_NAME, index=False)
    html = load_and_render(tmp_path).read_text()
    assert 'href="answers.parquet"' in html
    assert 'href="#answers"' in html


def written(folder, **columns):
    answers().assign(**columns).to_parquet(folder / records.ANSWERS_NAME, index=False)
    return read_answers(folder)


def test_a_file_gives_what_was_written(tmp_path):
    assert answer_sheets(written(tmp_path), Anchors()) == answer_sheets(answers(), Anchors())
    frame = written(tmp_path, right=None, best_other=None, options="[]")
    (sheet,) = answer_sheets(frame, Anchors())
    assert sheet.said.startswith("recall 20, no options to choose from")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("right", 5.0, "column 'right' holds 5.0, expected true or false"),
        ("right", "yes", "column 'right' holds str, expected numbers"),
        ("log_probability", float("inf"), "row 1, column 'log_probability' is inf"),
        ("options", "[5]", "column 'options' holds '[5]', expected a JSON list of texts"),
        ("prompt", None, "column 'prompt' holds None, expected text"),
    ],
)
def test_what_is_no_answer_is_refused_by_file_and_column(tmp_path, column, value, said):
    with pytest.raises(ForeignError, match=re.escape(said)) as refusal:
        written(tmp_path, **{column: value})
    assert str(tmp_path / records.ANSWERS_NAME) in str(refusal.value)
