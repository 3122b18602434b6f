"""Verdicts that were known beforehand: gathered at the head, and in no other count."""

from dataclasses import replace

import pytest

from harness.plugin.gate import end_of
from harness.report import view
from harness.report.instrument import by_claim, instrument_checks
from harness.report.model_card import model_card
from harness.report.opening import instrument_line
from harness.report.rendering import render
from harness.verdicts import records
from harness.verdicts.judge import Gate, Outcome
from harness.verdicts.table import load_verdicts
from harness.verdicts.verdict import Known
from tests.support.sample_records import known, sample


def test_the_sample_is_valid():
    for record in known():
        records.validate(record.to_json())


def test_known_verdicts_are_counted_by_role():
    positive, negative = instrument_checks([*sample(), *known()])
    assert (positive.role, positive.models, positive.right) == ("positive", ["planted-a"], 2)
    assert (negative.role, negative.models, negative.right) == ("negative", ["shared-a"], 2)
    assert len(positive.verdicts) == 4
    wrong = [(v.record.outcome, v.known.expected) for v in positive.wrong]
    assert wrong == [("supported", "inconclusive"), ("refuted", "supported")]


def test_what_is_as_known_for_want_of_a_decision_is_counted():
    (record,) = [v for v in known() if v.claim_id == "h4"][:1]
    mark = Known("negative", "not supported", "one circuit for all")
    marked = [
        replace(record, control=mark, outcome=outcome)
        for outcome in (Outcome.REFUTED, Outcome.INCONCLUSIVE)
    ]
    (check,) = instrument_checks(marked)
    assert (check.right, check.undecided) == (2, 1)
    assert "2 of 2 verdicts as known (1 of them undecided), on" in instrument_line([check]).text


def test_what_must_be_supported_is_left_open_by_an_interval_and_wrong_at_a_gate():
    mark = Known("positive", "supported", "planted")
    left = replace(known()[0], control=mark, outcome=Outcome.INCONCLUSIVE, gates=())
    stopped = replace(left, gates=(Gate("accuracy", met=False, reason="accuracy 0.30"),))
    assert end_of(left, "refuted").tell is pytest.skip
    assert "reference model: inconclusive, known to be" in end_of(stopped, "refuted").reason
    (check,) = instrument_checks([left, stopped])
    assert (check.right, check.open, [v.record for v in check.wrong]) == (0, 1, [stopped])
    (check,) = instrument_checks([left])
    line = instrument_line([check]).text
    assert "0 of 1 verdict as known, 1 that must be supported left open" in line
    assert "Read no other" not in line


def test_by_claim_the_head_says_what_must_be_supported_and_what_must_not(tmp_path):
    mark = Known("positive", "supported", "planted")
    first, second = known()[:2]
    marked = [
        replace(first, claim_id="h10", control=mark, outcome=Outcome.SUPPORTED),
        replace(first, claim_id="h2", control=mark, outcome=Outcome.REFUTED),
        replace(second, claim_id="h2", control=mark, outcome=Outcome.SUPPORTED),
        replace(first, claim_id="h2", control=replace(mark, expected="not supported")),
    ]
    marked[-1] = replace(marked[-1], outcome=Outcome.INCONCLUSIVE)
    said = by_claim(instrument_checks(marked))
    assert said == [
        "Supported where it must be: h2 1 of 2, h10 1 of 1.",
        "Not supported where it must not be: h2 1 of 1.",
    ]
    html = render([*sample(), *marked], None, tmp_path / "report.html").read_text()
    head = html[: html.index('<section id="verdicts"')]
    assert all(line in head for line in said)
    card = model_card(view.report_page([*sample(), *marked], None, "t"))
    assert all(line in card for line in said)


def test_one_reference_model_is_called_a_model():
    positive, negative = instrument_checks(known())
    assert "as known, on a model whose circuits are known (planted-a)." in (
        instrument_line([positive]).text
    )
    assert ", on models whose circuits are known (planted-a and shared-a)." in (
        instrument_line([positive, negative]).text
    )


def test_they_are_no_rows_of_the_rest_of_the_report():
    alone, together = (view.report_page(r, None, "t") for r in (sample(), [*sample(), *known()]))
    assert together.sentences == alone.sentences
    assert together.models == alone.models
    assert [c.rows for c in together.claims] == [c.rows for c in alone.claims]
    assert together.table == alone.table
    assert together.every == alone.every
    assert together.partings == alone.partings


def test_the_block_names_every_known_verdict_and_those_that_are_wrong(tmp_path):
    html = render([*sample(), *known()], None, tmp_path / "report.html").read_text()
    block = html[html.index('<section id="instrument"') : html.index('<section id="reading"')]
    assert "4 of 6 verdicts as known" in html[: html.index('<section id="verdicts"')]
    assert "2 of 4 verdicts as known" in block
    assert "2 of 2 verdicts as known" in block
    assert block.count("<li>") == 2
    assert block.count('<th scope="row">') == 6
    assert "both tasks run over the same three heads" in block


def test_a_run_without_them_says_that_nothing_was_checked(tmp_path):
    html = render(sample(), None, tmp_path / "report.html").read_text()
    assert "Nothing was checked: this run has no verdict on a model whose circuits" in html
    assert "<code>--no-controls</code>" in html


@pytest.mark.parametrize("found", [known(), [*sample(), *known()]])
def test_the_model_card_says_the_same(found):
    card = model_card(view.report_page(found, None, "t"))
    assert (
        "Positive reference model (planted-a; a circuit of its own for each task): 2 of 4" in card
    )
    shared = (
        "Negative reference model (shared-a; one circuit for all tasks, or none for one of them)"
    )
    assert f"{shared}: 2 of 2 verdicts as known." in card
    assert "Expected inconclusive, got supported." in card


def test_a_table_of_verdicts_tells_them_from_results(tmp_path):
    records.write_verdicts(tmp_path, [*sample(), *known()])
    table = load_verdicts(tmp_path)
    assert list(table.control.value_counts()[["positive", "negative"]]) == [4, 2]
    assert table.control.isna().sum() == len(sample())
