"""Runs against a baseline: what fails, is expected, or is refused; serially and on workers."""

import json
import shutil
from xml.etree import ElementTree

import pandas as pd
import pytest

from harness.verdicts import records
from tests.support.inner_runs import ROOT, alone

CLAIMS = '''
"""Claim."""
import json
from pathlib import Path

import pytest
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding

BAR = {bar}
world = json.loads(Path("world.json").read_text())

def finding(name):
    value = world[name]
    values = value if isinstance(value, list) else [value] * 20
    mean = sum(values) / len(values)
    e = Evidence("strength", Effect("d", mean), threshold=BAR, relation=">=", n=len(values))
    samples = {f"p{i}": v for i, v in enumerate(values)}
    gates = (Gate("g", False, "no answers"),) if value == 0.5 else ()
    return Finding((e,), gates=gates, samples={"strength": samples})
'''
PREDICTION = '''
@pytest.mark.criterion("controlled")
def test_{name}(model_name, verdict):
    """It holds for {name}."""
    verdict(finding("{name}"))
'''
LEFT = (".baselines", "reports")  # folders, by a run that is kept
BEFORE = {"kept": 2.0, "lost": 2.0, "won": 0.0, "never": 0.0, "silent": 0.5}


class Suite:
    """Hypothesis files whose numbers come from a file, run with options."""

    def __init__(self, pytester, kept, home):
        self.path = pytester.path
        self._pytester, self._kept, self._home = pytester, kept, home

    def run(self, world, *options, bar=1.0, workers=False, models=("mini-qwen",)):
        (self.path / "world.json").write_text(json.dumps(world))
        source = CLAIMS.replace("{bar}", repr(bar))
        source += "".join(PREDICTION.format(name=name) for name in world)
        self._pytester.makepyfile(test_h9_x=source)
        named = [f"--model={name}" for name in models]
        # A model stays on one worker: a second would have nothing to do.
        workers = (f"-n{len(models)}",) if workers else ()
        return self._pytester.runpytest(*workers, *named, "-p", "no:cacheprovider", *options)

    def keep(self, world=BEFORE, *options, name="one", **how):
        result = self.run(world, f"--save-baseline={name}", "--gate=none", *options, **how)
        assert result.ret == 0, result.stdout.str()
        return result

    def compare_with(self, world=BEFORE, models=("mini-qwen",)):
        """What `keep` leaves in the folder; such a run is made once, and copied for later tests."""
        key = json.dumps([world, models])
        if key not in self._kept:
            self.keep(world, models=models)
            self._kept[key] = self._home / str(len(self._kept))
            for name in LEFT:
                shutil.copytree(self.path / name, self._kept[key] / name)
        else:
            shutil.copytree(self._kept[key], self.path, dirs_exist_ok=True)

    def verdicts(self):
        found = records.read_verdicts(self.path / "reports" / "verdicts.json")
        return {v.prediction_id: v for v in found}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Folders of runs that were kept, by what was run, and where such folders are made."""
    return {}, tmp_path_factory.mktemp("kept")


@pytest.fixture
def suite(pytester, monkeypatch, kept):
    return Suite(alone(pytester, monkeypatch), *kept)


pytestmark = pytest.mark.usefixtures("forked_workers")
GATED = ("--baseline=one", "--gate=regressions")


# ---- Keeping


def test_baselines_are_numbered_and_hold_what_a_comparison_needs(suite):
    suite.keep().stdout.fnmatch_lines(["saved as baseline: */.baselines/0001_one"])
    suite.keep(name="two")
    suite.keep(name="one")
    kept = sorted(p.name for p in (suite.path / ".baselines").iterdir())
    assert kept == ["0001_one", "0002_two", "0003_one"]
    folder = suite.path / ".baselines" / "0001_one"
    assert {p.name for p in folder.iterdir()} == {
        *("verdicts.json", "samples.parquet", "components.parquet")
    }
    assert len(records.read_verdicts(folder)) == len(BEFORE)
    samples = pd.read_parquet(folder / "samples.parquet")
    assert list(samples.columns) == [
        *("model", "materials", "claim_id", "prediction_id", "criterion", "evidence"),
        *("sample", "value"),
    ]
    assert len(samples) == 20 * len(BEFORE)


def test_a_run_that_was_cut_short_is_not_kept(suite):
    result = suite.run(BEFORE, "--save-baseline=one", "-x")
    result.stdout.fnmatch_lines(["no baseline 'one' was saved: the run is not whole"])
    assert not (suite.path / ".baselines").exists()


def test_baselines_lie_where_they_are_told_to(suite):
    suite.keep(BEFORE, "--baseline-dir=elsewhere")
    assert (suite.path / "elsewhere" / "0001_one" / "verdicts.json").exists()


@pytest.mark.parametrize("name", ["LAST", "0001_x", "12", "a/b", ""])
def test_a_name_that_could_be_taken_for_another_thing_is_refused(suite, name):
    result = suite.run(BEFORE, f"--save-baseline={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: '{name}' cannot name a baseline: expected letters*"])


# ---- The gate


@pytest.mark.parametrize("workers", [False, True])
def test_what_was_supported_and_is_not_fails_and_what_was_refuted_is_expected(suite, workers):
    models = ("mini-qwen", "mini-llama") if workers else ("mini-qwen",)
    times = len(models)
    suite.compare_with(models=models)
    now = {**BEFORE, "lost": 0.0, "won": 2.0}
    result = suite.run(now, *GATED, workers=workers, models=models)
    result.assert_outcomes(passed=2 * times, failed=times, xfailed=times, skipped=times)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*regressed: supported in 0001_one, refuted now: strength: 0, needed >= 1"]
    )
    result.stdout.fnmatch_lines(
        [
            "*against 0001_one*",
            f"{times} regressed, {times} newly supported, {3 * times} as before",
            "regressed *mini-*h9 *It holds for lost.*supported -> refuted; "
            "then strength: d = +2, needed >= 1; now strength: d = 0, needed >= 1",
            "newly supported *It holds for won.*refuted -> supported*",
        ]
    )
    result.stdout.fnmatch_lines(["supported *It holds for won.*[[]was refuted]"])
    assert suite.run(BEFORE, *GATED, models=models).ret == 0


def test_no_answer_where_there_was_support_is_a_regression_and_elsewhere_a_skip(suite):
    suite.compare_with()
    result = suite.run({**BEFORE, "lost": 0.5, "never": 0.5}, *GATED)
    result.assert_outcomes(passed=1, failed=1, xfailed=1, skipped=2)
    result.stdout.fnmatch_lines(["*regressed: supported in 0001_one, inconclusive now: no answers"])
    assert suite.verdicts()["never"].baseline.change == "other"


def test_refuted_where_nothing_was_said_before_is_expected(suite):
    suite.compare_with()
    result = suite.run({**BEFORE, "silent": 0.0}, *GATED, "-rx")
    result.assert_outcomes(passed=2, xfailed=3)
    result.stdout.fnmatch_lines(["*refuted: *(inconclusive in 0001_one)*"])


def test_a_prediction_that_the_baseline_lacks_is_judged_as_a_claim(suite):
    suite.compare_with()
    result = suite.run({**BEFORE, "new_good": 2.0, "new_bad": 0.0, "new_mute": 0.5}, *GATED)
    result.assert_outcomes(passed=3, failed=1, xfailed=2, skipped=2)
    result.stdout.fnmatch_lines(["*refuted: strength: 0, needed >= 1 (and not in 0001_one*"])
    assert suite.verdicts()["new_good"].baseline.change == "not in the baseline"


def test_without_the_gate_a_comparison_is_shown_and_does_not_decide(suite):
    suite.compare_with()
    now = {**BEFORE, "lost": 0.0}
    suite.run(now, "--baseline=one").assert_outcomes(passed=1, failed=3, skipped=1)
    result = suite.run(now, "--baseline=one", "--gate=none")
    result.assert_outcomes(passed=1, xfailed=3, skipped=1)
    result.stdout.fnmatch_lines(["regressed *"])
    assert suite.run({"kept": 2.0}, "--gate=none").ret == 0
    assert suite.verdicts()["kept"].baseline is None


def test_an_error_is_not_measured_and_fails(suite):
    suite.compare_with({"kept": 2.0})
    result = suite.run({"kept": "text"}, *GATED)
    result.assert_outcomes(failed=1)
    assert suite.verdicts()["kept"].baseline.change == "regressed"


# ---- Effects


@pytest.mark.parametrize("workers", [False, True])
def test_an_effect_that_fell_on_the_same_samples_is_weaker_and_fails_the_run(suite, workers):
    before = {name: [3.0 + i % 5 for i in range(40)] for name in ("fell", "same", "grew")}
    suite.compare_with(before)
    now = {
        "fell": [v - 1 + 0.1 * (i % 3) for i, v in enumerate(before["fell"])],
        "same": [v + (-0.5 if i % 2 else 0.5) for i, v in enumerate(before["same"])],
        "grew": [v + 1 for v in before["grew"]],
    }
    result = suite.run(now, *GATED, "--junitxml=junit.xml", workers=workers)
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["FAILED *::against 0001_one::test_fell?mini-qwen? - *weaker*"])
    [failed] = failed_testcases(suite)
    assert failed.get("name") == "test_fell[mini-qwen]"
    assert failed.get("classname").endswith("against 0001_one")
    result.stdout.fnmatch_lines(["1 weaker, 1 stronger, 1 as before", "weaker *fell*40 samples*"])
    found = suite.verdicts()
    assert {k: v.baseline.change for k, v in found.items()} == {
        **{"fell": "weaker", "same": "as before", "grew": "stronger"}
    }
    field = found["fell"].baseline
    assert field.outcome == "supported"
    assert field.first.delta == pytest.approx(-0.9025)
    low, high = field.first.interval
    assert low < -0.9025 < high < 0
    [effect] = field.effects
    assert (effect.n, effect.better, effect.significant) == (40, False, True)
    assert found["grew"].baseline.first.interval == (1.0, 1.0)
    records.validate(found["fell"].to_json())
    assert "was" not in result.stdout.str().partition("against")[0].partition("verdicts")[2]


def test_what_the_baseline_supports_and_this_run_lacks_fails_it(suite):
    suite.compare_with()
    part = {name: BEFORE[name] for name in ("won", "never", "silent")}
    result = suite.run(part, *GATED, "--junitxml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1, xfailed=2, skipped=1)
    result.stdout.fnmatch_lines(["2 gone (2 of them supported before), 3 as before"])
    [failed] = failed_testcases(suite)
    said = failed.find("failure").text
    assert "2 predictions that 0001_one supports are not in this run (if you left them out" in said
    assert "mini-qwen h9 controlled It holds for kept." in said
    assert suite.run(part, *GATED, "--allow-gone").ret == pytest.ExitCode.OK
    assert suite.run(part, "--baseline=one", "--gate=none").ret == pytest.ExitCode.OK


def failed_testcases(suite):
    """The failed tests of JUnit's file."""
    root = ElementTree.parse(suite.path / "junit.xml").getroot()
    assert root.find("testsuite").get("failures") == "1"
    return [case for case in root.iter("testcase") if case.find("failure") is not None]


def test_what_changed_stands_in_the_report(suite):
    suite.compare_with()
    suite.run({**BEFORE, "lost": 0.0}, *GATED)
    html = (suite.path / "reports" / "report.html").read_text()
    assert "was supported" in html
    assert "Against 0001_one" in html


# ---- What may be compared


def change_provenance(folder, **changes):
    path = folder / "verdicts.json"
    document = json.loads(path.read_text())
    for record in document["verdicts"]:
        record["provenance"] |= changes
        record["model"] |= {"dtype": "bfloat16"} if "torch" in changes else {}
    path.write_text(json.dumps(document))


def test_another_library_device_or_batch_size_does_not_matter(suite):
    suite.compare_with()
    change_provenance(
        suite.path / ".baselines" / "0001_one",
        torch="1.0",
        transformers="4.0",
        device="cuda:3",
        batch_size=7,
        machine="abacus",
    )
    result = suite.run(BEFORE, *GATED)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*differs, and does not matter: *torch 1.0 -> *batch_size 7*"])


def test_another_plan_is_refused_with_the_constant_that_differs(suite):
    suite.compare_with()
    for how in ({}, {"workers": True}):
        result = suite.run(BEFORE, *GATED, bar=1.5, **how)
        result.assert_outcomes(errors=5)
        result.stdout.fnmatch_lines(
            [
                "*this cannot be compared with 0001_one: the plan of h9 (hash * -> *): "
                "BAR 1.0 -> 1.5; run with the same*"
            ]
        )
        result.stdout.fnmatch_lines(["5 not compared", "not compared *BAR 1.0 -> 1.5"])
        assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize("workers", [False, True])
def test_another_number_of_the_run_is_refused_before_anything_is_measured(suite, workers):
    suite.compare_with()
    result = suite.run(BEFORE, *GATED, "--seed=3", "--twins=1", "--items=50", workers=workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: this run cannot be compared with 0001_one: --seed 0 -> 3, --twins 3 -> 1, "
            "--items 200 -> 50; run with the same, or save a new baseline."
        ]
    )


def test_another_number_of_items_is_refused_unless_shared_samples_are_asked_for(suite):
    suite.compare_with({"kept": [2.0] * 30})
    result = suite.run({"kept": [2.0] * 20}, *GATED, "--items=50")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *--items 200 -> 50; --baseline-on shared compares*"])
    result = suite.run({"kept": [1.5] * 20}, *GATED, "--items=50", "--baseline-on=shared")
    assert result.ret == pytest.ExitCode.TESTS_FAILED  # each of the shared samples fell
    [effect] = suite.verdicts()["kept"].baseline.effects
    assert (effect.n, effect.delta) == (20, -0.5)


def test_a_model_of_another_name_is_compared_with_the_only_one_there_is(suite):
    suite.compare_with()
    result = suite.run(BEFORE, *GATED, models=("mini-llama",))
    result.stdout.fnmatch_lines(["baseline: 0001_one (mini-llama with mini-qwen)"])
    assert result.ret == 0
    assert suite.verdicts()["kept"].baseline.model == "mini-qwen"


def test_a_choice_of_models_must_be_told(suite):
    suite.compare_with(models=("mini-qwen", "mini-llama"))
    folder = str(ROOT / "fixtures" / "organisms" / "mini-qwen")
    result = suite.run(BEFORE, *GATED, models=(folder,))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: 0001_one was run on *: say which is compared with which*"])
    result = suite.run(BEFORE, *GATED, f"--baseline-model={folder}=mini-qwen", models=(folder,))
    assert result.ret == 0
    assert suite.verdicts()["kept"].baseline.outcome == "supported"


def test_a_baseline_is_found_by_name_number_and_path(suite):
    suite.compare_with({"kept": 2.0})
    folder = suite.path / ".baselines" / "0001_one"
    for way in ("one", "0001", "0001_one", "LAST", folder, folder / "verdicts.json"):
        assert suite.run({"kept": 2.0}, f"--baseline={way}", "--gate=regressions").ret == 0, way
        assert suite.verdicts()["kept"].baseline.name == "0001_one", way


def test_a_damaged_table_of_samples_is_said_before_anything_is_measured(suite):
    suite.compare_with({"kept": 2.0})
    path = suite.path / ".baselines" / "0001_one" / "samples.parquet"
    path.write_bytes(path.read_bytes()[:100])
    (suite.path / "reports" / "report.html").unlink()
    result = suite.run({"kept": 2.0}, *GATED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *samples.parquet is not a table of samples: *"])
    assert not (suite.path / "reports" / "report.html").exists()


WRONG = {
    "--gate=regressions": "--gate regressions compares with an earlier run: give *",
    "--baseline=oen": "there is no baseline 'oen' in *: did you mean one*",
    "--baseline=one --baseline-dir=none": "there is no baseline 'one': */none holds*",
    "--baseline=reports": "--baseline reports lies where this run writes its report*",
    "--baseline=world.json": "*world.json is not a file of verdicts: expected*",
    "--baseline=one --baseline-on=some": "--baseline-on 'some': expected one of same*",
    "--baseline=one --baseline-model=x": "--baseline-model 'x': expected OURS=THEIRS*",
    "--baseline=one --baseline-model=x=y": "*x=y: there is no model 'x'; known are*",
}


def test_a_wrong_option_is_one_sentence(suite):
    suite.compare_with({"kept": 2.0})
    for options, sentence in WRONG.items():
        result = suite.run({"kept": 2.0}, *options.split())
        assert result.ret == pytest.ExitCode.USAGE_ERROR, options
        result.stderr.fnmatch_lines([f"ERROR: {sentence}"])
        assert "Traceback" not in result.stderr.str() + result.stdout.str(), options
