"""Files of schema version 1, written by a release before this one, are read and compared."""

import json
from dataclasses import replace
from pathlib import Path

from harness.compare import past
from harness.compare.changes import against
from harness.compare.past import Baseline
from harness.report import view
from harness.verdicts import records
from harness.verdicts.samples import Address, read_samples, samples_frame

FILE = Path(__file__).parent / "data" / "version-1.json"
LAYERS, STEERING = records.read_verdicts(FILE)


def test_every_number_of_the_old_record_is_kept():
    old = json.loads(FILE.read_text(encoding="utf-8"))["verdicts"]
    for before, verdict in zip(old, (LAYERS, STEERING), strict=True):
        now = verdict.to_json()
        for name in ("outcome", "reason", "controls", "components", "model", "provenance"):
            assert now[name] == before[name]
        for e, was in zip(now["evidence"], before["evidence"], strict=True):
            relation = "secondary" if was["relation"] == "shown" else was["relation"]
            state = {True: "held", False: "failed", None: None}[was["passed"]]
            new = {
                "relation": relation,
                "key": e["key"],
                "state": state,
                "decided_by": "estimate",
            }
            assert e == {**was, **new}


def test_evidence_is_found_by_the_keys_that_it_has_today():
    assert LAYERS.evidence_of("count").name == "layers that hold on held-out facts"
    assert LAYERS.evidence_of("largest").name.startswith("strongest effect on discovery, layer 3")
    change = "change of logit difference"
    assert STEERING.evidence_of("steering.toward.reasoning").name == f"reasoning, {change}"
    assert STEERING.evidence_of("steering.away.recall").name == f"recall, {change}"
    assert STEERING.evidence_of("steering.contrast.reasoning.recall").decisive


def test_the_report_says_of_it_what_it_says_of_a_record_of_today():
    page = view.report_page([LAYERS, STEERING], None, "t")
    assert "1 supported (h1), 1 refuted (h7)" in " ".join(page.summary)
    effects = " ".join(row.effect for row in page.every.rows)
    assert "reasoning minus recall, change of logit difference: " in effects


def test_it_is_written_again_as_a_record_of_today(tmp_path):
    records.write_verdicts(tmp_path, [LAYERS, STEERING])
    assert records.read_verdicts(tmp_path) == [LAYERS, STEERING]


def test_a_baseline_of_that_release_still_compares(tmp_path):
    (tmp_path / "verdicts.json").write_bytes(FILE.read_bytes())
    baseline = Baseline(past.find(str(tmp_path), tmp_path), {"mini-qwen": "mini-qwen"})
    count, largest, *others = LAYERS.evidence
    elsewhere = replace(
        largest,
        name="strongest effect on discovery, layer 1, gate_mean",
        effect=replace(largest.effect, value=3.0),
    )
    now = replace(LAYERS, evidence=(count, elsewhere, *others))
    [found] = against([now], {}, baseline)
    assert found.baseline.outcome == "supported"
    assert found.baseline.change == "as before"
    [_, moved] = found.baseline.effects  # found by its key: another layer is the strongest now
    assert (moved.before, moved.now) == (largest.effect.value, 3.0)


def test_the_samples_of_that_release_are_read(tmp_path):
    where = Address("mini-qwen", "made", "h1", "layers_differ", "controlled", "strongest effect")
    frame = samples_frame(
        {where.evidence: {"pair 1": 0.5, "pair 2": 1.5}},
        model=where.model,
        materials=where.materials,
        claim_id=where.claim_id,
        prediction_id=where.prediction_id,
        criterion=where.criterion,
    )
    frame.rename(columns={"sample": "unit"}).to_parquet(tmp_path / "units.parquet", index=False)
    assert read_samples(tmp_path) == {where: {"pair 1": 0.5, "pair 2": 1.5}}
