"""Runs are planned once each, resumed, and stopped without loss; nothing here runs the suite."""

import json
import os
import re
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.calibration import running
from harness.calibration import settings as module
from harness.calibration.expected_time import forecast, seconds
from harness.calibration.jobs import Job, chains, jobs_of
from harness.calibration.settings import ORGANISMS, CalibrationSettings
from harness.models.specs import ModelSpec
from harness.study.reference_models import ReferenceModel

SETTINGS = CalibrationSettings(parts=("consistency",))
WRITES = """
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[1]); name = sys.argv[2]
pathlib.Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
if "again" in name and {fails}: sys.exit("no memory")
time.sleep({seconds})
(out / "verdicts.json").write_text(json.dumps({{"verdicts": []}}))
"""


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A workshop whose runs are a few lines of Python; `calls` are the jobs that were run."""

    def made(seconds=0.0, fails=False):
        shop = running.Workshop(tmp_path, SETTINGS)
        shop.calls = []

        def command(job):
            shop.calls.append(job.name)
            code = WRITES.format(seconds=seconds, fails=fails)
            places = [str(shop.run_folder(job)), job.name, str(shop.cache(job))]
            return [sys.executable, "-c", code, *places]

        monkeypatch.setattr(shop, "command", command)
        return shop

    return made


def test_every_run_of_a_plan_has_a_name_and_an_address_of_its_own():
    for settings in (CalibrationSettings.usual(), CalibrationSettings.usual().quick()):
        jobs = jobs_of(chains(settings))
        assert len({job.name for job in jobs}) == len(jobs)
        prints = {job.fingerprint(settings, {"model": job.base}) for job in jobs}
        assert len(prints) == len(jobs)


def test_every_control_is_judged_with_twenty_seeds_and_only_on_what_is_known_of_it(tmp_path):
    settings = CalibrationSettings.usual()
    jobs = [job for job in jobs_of(chains(settings)) if job.part == "controls"]
    written = {"apart", "apart-writes", "one-step-apart"}
    for name in ("planted-qwen", "shared-qwen", *written):
        assert sorted(job.seed for job in jobs if job.base == name) == [*range(20)]
    (apart, *_) = (job for job in jobs if job.base == "apart")
    assert (apart.kind, apart.more[0]) == ("written", "--shots=0")
    others = {job.base for job in jobs_of(chains(settings)) if job.part == "organisms"}
    assert others == {*ORGANISMS} - written
    shop = running.Workshop(tmp_path, settings)
    option, asked = shop._only(next(job for job in jobs if job.base == "planted-qwen"))
    assert option == "-k"
    assert "(each_circuit_serves_its_own_process_more and neuron)" in asked.split(" or ")
    assert "circuit_of_retrieval" not in asked  # nothing is known of it
    assert shop._only(Job("power", "shipped", "planted-qwen", items=30)) == [option, asked]
    assert shop._only(Job("power", "shipped", "mini-qwen")) == []  # nothing is known of it
    assert shop._only(Job("consistency", "base", "planted-qwen")) == []


def test_how_long_it_takes_is_said_for_what_is_asked_and_for_the_cores():
    runs = replace(CalibrationSettings.usual(), parts=("controls",))
    assert seconds(runs, 2) == seconds(runs, 1) / 2
    assert seconds(replace(runs, seeds=10), 1) == seconds(runs, 1) / 2
    whole, quick = CalibrationSettings.usual(), CalibrationSettings.usual().quick()
    assert seconds(quick, 2) < 300
    assert re.fullmatch(r"about \d+ h.* on 2 idle cores", forecast(whole, 2))


def test_planted_models_are_used_where_they_are_there(monkeypatch):
    spec = ModelSpec("planted-x", "/x", is_local=True)
    negative = ReferenceModel(replace(spec, name="shared-x"), "negative", {}, "")
    monkeypatch.setattr(
        module, "shipped", lambda: (ReferenceModel(spec, "positive", {}, ""), negative)
    )
    assert CalibrationSettings.usual().power == ("planted-x",)
    assert CalibrationSettings.usual().controls == ("planted-x", "shared-x")
    written = ReferenceModel(replace(spec, name="apart", recipe="apart"), "positive", {}, "")
    monkeypatch.setattr(module, "shipped", lambda: (written, negative))
    assert CalibrationSettings.usual().power == ()  # measured where weights ship
    assert CalibrationSettings.usual().processes[-2:] == ("shared-x", "apart")
    monkeypatch.setattr(module, "shipped", lambda: ())
    assert CalibrationSettings.usual() == CalibrationSettings()


def test_a_fingerprint_changes_with_whatever_the_outcome_depends_on():
    job, depends = Job("controls", "shipped", "m"), {"model": "a", "libraries": {"torch": "1"}}
    prints = {
        job.fingerprint(SETTINGS, depends),
        job.fingerprint(SETTINGS, {**depends, "model": "b"}),
        job.fingerprint(SETTINGS, {**depends, "libraries": {"torch": "2"}}),
        job.fingerprint(CalibrationSettings(permutations=99), depends),
        job.fingerprint(CalibrationSettings(claims=("h1",)), depends),
        Job("controls", "shipped", "m", seed=1).fingerprint(SETTINGS, depends),
        Job("controls", "shipped", "m", more=("--shots=0",)).fingerprint(SETTINGS, depends),
    }
    assert len(prints) == 7


def test_what_is_there_is_not_run_again(workshop):
    plan = chains(SETTINGS)
    shop = workshop()
    first = running.Runner(shop, plan, 2).run(None)
    assert first.whole
    assert {ran.job for ran in first.ran} == set(jobs_of(plan))
    again = workshop()
    second = running.Runner(again, plan, 2).run(None)
    assert second.whole
    assert again.calls == []
    (second.ran[0].folder / running.DONE).unlink()  # as if it had been killed while running
    third = workshop()
    assert running.Runner(third, plan, 2).run(None).whole
    assert set(third.calls) == {second.ran[0].job.name}


def test_measurements_are_thrown_away_when_no_run_will_read_them(workshop):
    shop = workshop()
    running.Runner(shop, chains(SETTINGS), 1).run(None)
    left = [p for p in (shop.folder / "caches").iterdir() if p.is_dir()]
    assert left == []


def test_a_run_that_fails_is_named_with_what_it_said_and_the_others_go_on(workshop):
    plan = chains(SETTINGS)
    outcome = running.Runner(workshop(fails=True), plan, 2).run(None)
    (failed,) = outcome.failed
    assert failed.job.kind == "again"
    assert "no memory" in failed.said
    assert len(outcome.ran) == len(jobs_of(plan)) - 1
    assert not outcome.whole


def test_stopping_ends_the_runs_and_keeps_those_that_are_whole(workshop):
    runner = running.Runner(workshop(seconds=0.4), chains(SETTINGS), 1)
    take = runner._made.get

    class Interrupting:
        def __init__(self):
            self.seen = 0

        def get(self):
            self.seen += 1
            if self.seen > 1:
                time.sleep(0.1)
                raise KeyboardInterrupt
            return take()

        def put(self, made):
            pass

    real, runner._made = runner._made, Interrupting()
    runner._made.put = real.put
    started = time.monotonic()
    outcome = runner.run(None)
    assert outcome.interrupted
    assert len(outcome.ran) == 1
    assert time.monotonic() - started < 10
    assert threading.active_count() < 10
    done = list((runner.workshop.folder / "runs").glob(f"*/{running.DONE}"))
    assert len(done) == 1
    assert json.loads(done[0].read_text())["job"]["kind"] == "base"


def test_runs_see_none_of_our_options(monkeypatch):
    monkeypatch.setenv("HARNESS_SEED", "7")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    environment = running.run_environment()
    assert not {"HARNESS_SEED", "PYTEST_ADDOPTS"} & set(environment)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert os.environ["HARNESS_SEED"] == "7"


def test_every_run_studies_a_hub_model_at_the_same_commit(tmp_path, monkeypatch):
    commits = iter(("a" * 40, "b" * 40))  # a branch that moves
    hub = type("Hub", (), {"model_info": lambda *_, **__: SimpleNamespace(sha=next(commits))})
    monkeypatch.setattr("huggingface_hub.HfApi", hub)
    shop = running.Workshop(tmp_path, SETTINGS)
    told = [shop.model(Job("controls", "shipped", "org/name", seed=seed)) for seed in range(3)]
    assert told == [f"org/name@{'a' * 40}"] * 3
