"""Organisms in a calibration: which runs there are, and how their verdicts are counted."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fixtures.training.known_verdicts import WRITTEN
from harness.calibration import simulated
from harness.calibration.jobs import Job, chains, jobs_of
from harness.calibration.power import known_verdicts
from harness.calibration.record import _told
from harness.calibration.results import rows_of
from harness.calibration.running import Workshop
from harness.calibration.settings import ORGANISMS, CalibrationSettings
from harness.models import recipes
from harness.models.recipes import organism_folder, written_organism
from harness.models.specs import ModelError
from tests.support.made_runs import ran, verdict

PLACE = "h5/circuit-head"


def test_every_organism_is_judged_with_each_seed():
    assert set(ORGANISMS) == set(WRITTEN)
    settings = replace(CalibrationSettings(), parts=("organisms",), organism_seeds=2)
    jobs = jobs_of(chains(settings))
    assert len(jobs) == 2 * len(ORGANISMS)
    assert {(job.part, job.seed) for job in jobs} == {("organisms", 0), ("organisms", 1)}
    later = jobs_of(chains(replace(settings, first_seed=7)))
    assert {job.seed for job in later} == {7, 8}


def test_a_job_studies_the_folder_that_is_written_for_it(tmp_path):
    shop = Workshop(tmp_path, CalibrationSettings())
    job = Job("organisms", "written", "apart")
    folder = Path(shop.model(job))
    assert folder == organism_folder(tmp_path.resolve(), "apart")
    assert folder.parent.name == "organisms"


def test_another_recipe_is_another_folder(tmp_path, monkeypatch):
    before = organism_folder(tmp_path, "apart")
    (tmp_path / "fixtures" / "training").mkdir(parents=True)
    (tmp_path / "fixtures" / "training" / "written.py").write_text("changed")
    monkeypatch.setattr(recipes, "DATA", tmp_path)
    assert organism_folder(tmp_path, "apart") != before


def test_an_organism_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    ended = SimpleNamespace(returncode=2, stderr="invalid choice: 'nobody'")
    monkeypatch.setattr(recipes.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(ModelError, match="'nobody' could not be written: invalid choice"):
        written_organism("nobody", tmp_path)


def test_rates_are_over_runs_that_decided_and_others_are_counted_beside(tmp_path):
    folder = organism_folder(tmp_path, "apart")
    folder.mkdir(parents=True)
    (folder / "circuit.json").write_text(json.dumps({"expected": {PLACE: "supported"}}))
    said = ("supported", "refuted", "inconclusive", "supported")
    runs = [
        ran(
            tmp_path / "runs",
            Job("organisms", "written", "apart", seed=seed),
            verdict("h5", "circuit-head", outcome=outcome),
            verdict("h5", "not_expected", outcome="refuted"),
        )
        for seed, outcome in enumerate(said)
    ]
    (entry,) = known_verdicts(rows_of(runs), _told(runs))
    assert (entry["prediction"], entry["inconclusive"]) == (PLACE, 1)
    assert (entry["rate"]["count"], entry["rate"]["n"]) == (2, 3)


def test_of_a_negative_organism_a_refuted_claim_is_what_was_expected(tmp_path):
    job = Job("organisms", "written", "together")
    rows = rows_of([ran(tmp_path, job, verdict("h5", "circuit-head", outcome="refuted"))])
    (entry,) = known_verdicts(rows, {"together": {PLACE: "not supported"}})
    assert entry["rate"]["count"] == 1


def test_drawn_contrasts_have_the_mean_and_spread_that_are_asked_for():
    generator = np.random.default_rng(1)
    one, other = simulated.drawn_contrasts(400, 400 * 2 * 50, 2.0, generator)
    size = np.abs(one.mean(0))
    assert size[: simulated.SERVE] == pytest.approx(2.0, abs=0.2)
    assert size[simulated.SERVE :].max() < 0.2
    assert np.std(one - other) == pytest.approx((2 * 2 / 50) ** 0.5, rel=0.05)


def test_four_relations_find_nothing_and_sixteen_find_most(monkeypatch):
    monkeypatch.setattr(simulated, "DRAWS", 2)
    few, many = (simulated._point(relations, 200, 2.0) for relations in (4, 16))
    assert few["found"]["count"] == 0
    assert many["found"]["share"] > 0.5
