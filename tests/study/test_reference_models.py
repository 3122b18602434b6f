"""Models whose verdicts are known: run beside every other, kept, and never mixed with them."""

import json
from dataclasses import replace

import pytest

from harness.calibration.settings import ON_ORGANISMS
from harness.files import DATA
from harness.models.specs import LoadOptions
from harness.plugin import settings
from harness.study import difficulty, reference_models
from harness.study.difficulty import Asked, Chosen
from harness.study.plan import Plan
from harness.study.reference_models import StoredVerdicts, shipped
from harness.verdicts.verdict import Known
from tests.plugin import test_plugin
from tests.plugin.test_plugin import BOTH, CLAIM, by_prediction, records
from tests.support import forks
from tests.support.sample_records import sample

study = test_plugin.study  # the fixture: a folder of its own with the plugin in it

HEADS = (
    CLAIM
    + '''
COUNT = []

@pytest.mark.criterion("controlled")
def test_retrieval_is_caused_at_less_depth_than_composing(model_name, verdict):
    """It holds."""
    verdict(finding(VALUE))

@pytest.mark.criterion("controlled")
def test_of_which_nothing_is_known(model_name, verdict):
    """It holds too."""
    verdict(finding(2.0))
'''
)

SAYS_STORED = """
from harness.plugin.forecasting import Forecasts
end_at_once = Forecasts.end_at_once

def said(self, places):
    end_at_once(self, places)
    with open("stored", "a") as file:
        file.writelines(f"{node}\\n" for node in self.stored)

Forecasts.end_at_once = said
"""


@pytest.fixture(autouse=True)
def one_known_verdict_of_each(monkeypatch):
    """Two reference models, of which different predictions are known."""
    places = (
        "h6/retrieval_is_caused_at_less_depth_than_composing",
        "h7/a_direction_of_retrieval_separates_other_relations",
    )
    pairs = zip(shipped()[:2], places, strict=True)
    own = tuple(replace(m, expected={place: m.expected[place]}) for m, place in pairs)
    monkeypatch.setattr(settings, "shipped", lambda: own)


def run(study, value, *options):
    study.makepyfile(test_h6_x=HEADS.replace("VALUE", str(value)))
    cache = study.path / "cache"
    return study.runpytest("--model=mini-qwen", f"--cache-dir={cache}", *options)


def kept(study):
    path = study.path / "reports" / "controls.json"
    return json.loads(path.read_text(encoding="utf-8"))["verdicts"] if path.exists() else []


def test_a_reference_model_with_its_known_verdict_passes_and_stays_apart(study):
    result = run(study, 2.0)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["planted-qwen (positive): 1 of 1 verdicts as known"])
    assert {name for _, name in by_prediction(study)} == {"mini-qwen"}
    (record,) = kept(study)
    assert record["model"]["name"] == "planted-qwen"
    assert record["control"]["expected"] == record["outcome"] == "supported"
    assert record["control"]["role"] == "positive"


def test_a_reference_model_with_another_verdict_fails_the_run(study):
    result = run(study, 0.0, "-k", "planted")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*positive reference model: refuted, known to be supported: count: 0, needed >= 1",
            "planted-qwen (positive): 0 of 1 verdicts as known",
        ]
    )
    assert result.ret == 1


def test_a_negative_reference_model_that_is_supported_fails_the_run(study):
    lenient = HEADS.replace(
        "test_retrieval_is_caused_at_less_depth_than_composing",
        "test_a_direction_of_retrieval_separates_other_relations",
    )
    study.makepyfile(test_h7_x=lenient.replace("VALUE", "2.0"))
    cache = study.path / "cache"
    result = study.runpytest("--model=mini-qwen", f"--cache-dir={cache}", "-k", "shared")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*negative reference model: supported, known to be not supported*",
            "shared-qwen (negative): 0 of 1 verdicts as known",
        ]
    )


def test_gate_none_expects_a_wrong_verdict_on_a_reference_model(study):
    run(study, 0.0, "-k", "planted", "--gate=none").assert_outcomes(xfailed=1)


def test_a_reference_model_that_cannot_be_measured_is_a_row_of_its_own_table(study):
    study.makepyfile(test_h6_x=HEADS.replace("verdict(finding(VALUE))", "raise OSError('no disk')"))
    study.runpytest("--model=mini-qwen", "-k", "planted", "--no-header").assert_outcomes(failed=1)
    (record,) = kept(study)
    assert record["outcome"] == "not measured"
    assert record["control"]["expected"] == "supported"


def test_reference_models_can_be_left_out(study):
    run(study, 2.0, "--no-controls").assert_outcomes(passed=2)
    assert kept(study) == []


def test_a_reference_model_under_study_is_none_of_the_run(study):
    study.makepyfile(test_h6_x=HEADS.replace("VALUE", "2.0"))
    study.runpytest("--model=planted-qwen").assert_outcomes(passed=2)
    assert len(records(study)) == 2


def test_a_second_run_takes_the_stored_verdict_and_says_so(study):
    run(study, 2.0)
    (first,) = kept(study)
    run(study, 2.0).assert_outcomes(passed=3)
    (second,) = kept(study)
    assert second["cached"]
    assert second["created"] == first["created"]
    assert second["run_id"] != first["run_id"]
    assert second["evidence"] == first["evidence"]


def test_a_stored_verdict_asks_nothing_of_the_model(study, monkeypatch):
    """Not even at which difficulty it answers, which takes seconds."""
    asked = []

    def chosen(subject, difficulty, _seed):
        asked.append(subject.spec.name)
        return Chosen(next(iter(difficulty.settings())), ())

    monkeypatch.setattr(difficulty, "choose_difficulty", chosen)
    claim = HEADS.replace('("controlled")', '("controlled", prompts="cells", plain=True)')
    study.makepyfile(test_h6_x=claim.replace("model_name", "study").replace("VALUE", "2.0"))
    run = ("-k", "planted", "--model=mini-qwen", f"--cache-dir={study.path / 'cache'}")
    for _ in range(2):
        study.runpytest(*run).assert_outcomes(passed=1)
    assert asked == ["planted-qwen"]
    assert kept(study)[0]["cached"]


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_stored_verdicts_are_no_part_of_the_time_that_is_planned(study, workers):
    run(study, 2.0)
    study.makeconftest(SAYS_STORED)
    command = ("--model=mini-qwen", f"--cache-dir={study.path / 'cache'}", *workers)
    forks.run(study, *command).assert_outcomes(passed=3)
    (stored,) = (study.path / "stored").read_text(encoding="utf-8").splitlines()
    assert "retrieval_is_caused_at_less_depth_than_composing[planted-qwen" in stored


def test_without_a_cache_that_can_be_written_everything_is_measured(study):
    (study.path / "in-the-way").write_text("")
    run(study, 2.0, "--cache-dir=in-the-way").assert_outcomes(passed=3)
    (record,) = kept(study)
    assert record["outcome"] == "supported"


def test_a_changed_claim_is_measured_again(study):
    run(study, 2.0)
    run(study, 3.0)
    (record,) = kept(study)
    assert record["evidence"][0]["effect"]["value"] == 3.0


@pytest.mark.usefixtures("forked_workers")
def test_workers_keep_reference_models_apart_too(study):
    study.makepyfile(test_h6_x=HEADS.replace("VALUE", "2.0"))
    study.runpytest("-n2", *BOTH).assert_outcomes(passed=5)
    assert len(records(study)) == 4
    assert len(kept(study)) == 1


@pytest.fixture
def claim(tmp_path):
    path = tmp_path / "test_h7_x.py"
    path.write_text("BAR = 1.0", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"plan": Plan(seed=1)},
        {"plan": Plan(items=60)},
        {"load": LoadOptions(dtype="bfloat16")},
        {"load": LoadOptions(device="cuda")},
        {"asked": Asked(shots=2)},
    ],
)
def test_what_a_verdict_depends_on_is_in_its_fingerprint(tmp_path, claim, changed):
    usual = {"plan": Plan(), "load": LoadOptions(device="cpu")}
    (model, *_) = shipped()
    before = StoredVerdicts(**usual, cache_dir=tmp_path).fingerprint(model, claim)
    assert StoredVerdicts(**usual, cache_dir=tmp_path).fingerprint(model, claim) == before
    after = StoredVerdicts(**(usual | changed), cache_dir=tmp_path).fingerprint(model, claim)
    assert after != before


def test_batch_size_is_not_in_the_fingerprint(tmp_path, claim):
    (model, *_) = shipped()
    verdicts = [StoredVerdicts(Plan(), LoadOptions(batch_size=b), tmp_path) for b in (None, 3)]
    assert len({kept.fingerprint(model, claim) for kept in verdicts}) == 1


def test_a_damaged_stored_verdict_is_measured_again(tmp_path, claim):
    (model, *_) = shipped()
    who = {"claim_id": "h7", "prediction_id": "a_direction_of_retrieval_separates_other_relations"}
    verdicts = StoredVerdicts(Plan(seed=7), LoadOptions(), tmp_path)
    record = sample()[0].to_json()
    verdicts.save(model, who, claim, record)
    found = verdicts.find(model, who, claim)
    assert found == {**record, "model": {**record["model"], "path": model.spec.path}}
    (path,) = (tmp_path / reference_models.STORED).glob("*/*.json")
    path.write_text('{"outco', encoding="utf-8")
    assert verdicts.find(model, who, claim) is None


def test_every_known_verdict_is_of_a_prediction_that_exists():
    """A renamed prediction must not silently lose its reference models."""
    there = {
        f"{path.stem.split('_')[1]}/{line.split('(')[0].removeprefix('def test_')}"
        for path in (DATA / "hypotheses").glob("test_*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("def test_")
    }
    for model in shipped():
        for place in model.expected:
            assert place.partition("-")[0] in there, place


def named(name):
    return next(model for model in shipped() if model.name == name)


def test_every_claim_is_judged_where_it_must_not_be_supported_and_most_where_it_must():
    told = {}
    for model in shipped():
        for place, outcome in model.expected.items():
            told.setdefault(outcome, set()).add(place.partition("/")[0])
    claims = {f"h{number}" for number in range(1, 15)}
    assert told["not supported"] == claims
    assert told["supported"] == claims - {"h10"}  # docs/controls.md says why


@pytest.mark.parametrize(("name", "claim"), [("mini-steps", "h14"), ("apart-writes", "h14")])
def test_an_organism_that_was_made_for_one_claim_is_judged_on_nothing_else(name, claim):
    known = named(name)
    assert {place.partition("/")[0] for place in known.expected} == {claim}
    assert known.asked is not None


def test_of_a_model_that_states_how_it_is_asked_the_runs_difficulty_says_nothing(tmp_path, claim):
    prints = {
        name: {
            StoredVerdicts(Plan(), LoadOptions(), tmp_path, asked).fingerprint(named(name), claim)
            for asked in (Asked(), Asked(shots=2))
        }
        for name in ("apart", "planted-qwen")
    }
    assert {name: len(found) for name, found in prints.items()} == {"apart": 1, "planted-qwen": 2}


def test_a_stored_verdict_on_a_written_model_is_found_before_it_is_written(tmp_path, claim):
    model, verdicts = named("apart"), StoredVerdicts(Plan(), LoadOptions(), tmp_path)
    who = {"claim_id": "h7", "prediction_id": "a_direction_of_retrieval_separates_other_relations"}
    verdicts.save(model, who, claim, sample()[0].to_json())
    assert verdicts.find(model, who, claim) is not None
    assert not (tmp_path / "organisms").exists()


def test_a_written_model_is_asked_as_it_states(study, monkeypatch):
    place = "h6/retrieval_is_caused_at_less_depth_than_composing"
    own = replace(named("apart"), expected={place: "supported"})
    monkeypatch.setattr(settings, "shipped", lambda: (own,))
    asked = []

    def chosen(subject, difficulty, _seed):
        asked.append((subject.spec.name, difficulty))
        return Chosen(next(iter(difficulty.settings())), ())

    monkeypatch.setattr(difficulty, "choose_difficulty", chosen)
    claim = HEADS.replace('("controlled")', '("controlled", prompts="cells", plain=True)')
    claim = claim.replace("model_name", "study").replace("VALUE", "float(len(study.prompts.items))")
    study.makepyfile(test_h6_x=claim)
    cache = study.path / "cache"
    study.runpytest("-k", "apart", "--items=24", f"--cache-dir={cache}").assert_outcomes(passed=1)
    assert asked == [("apart", Asked(**ON_ORGANISMS))]
    (record,) = kept(study)
    assert "chains3-shots0-shuffled" in record["materials"]["name"]
    assert not (cache / "organisms").exists()  # nothing was asked of its weights


def test_something_is_known_only_of_what_circuit_json_names():
    (model, *_) = shipped()
    known = replace(model, expected={"h7/x": "supported"})
    found = known.known({"claim_id": "h7", "prediction_id": "x"})
    assert found == Known(model.role, "supported", model.why)
    assert known.known({"claim_id": "h7", "prediction_id": "y"}) is None
