"""The plugin on five-line hypothesis files: outcomes, options, records, xdist."""

import json
from functools import partial
from types import FunctionType

import pytest

from harness.plugin import hooks
from tests.support import forks
from tests.support.inner_runs import ROOT, alone

CLAIM = '''
"""Claim."""
import pytest
from harness.verdicts.evidence import Control, Effect, Evidence, Gate
from harness.verdicts.judge import Finding

BAR = 1.0

def finding(value, **more):
    e = Evidence("count", Effect("count", value), threshold=BAR, relation=">=", n=9)
    return Finding((e,), **more)
'''
HOLDS = "verdict(finding(2.0))"


def prediction(name, *body, said="It holds.", asks="model_name", criterion="controlled"):
    """The text of a prediction; one that says nothing has no docstring."""
    docstring = [f'"""{said}"""'] if said else []
    lines = "".join(f"    {line}\n" for line in (*docstring, *body))
    marked = f'@pytest.mark.criterion("{criterion}")'
    return f"\n{marked}\ndef test_{name}({asks}, verdict):\n{lines}"


STOPPED = "The run was stopped before its end"

THREE = (
    CLAIM
    + prediction("holds", HOLDS)
    + prediction("fails", "verdict(finding(0.0))", said="It does not hold.")
    + prediction(
        "says_nothing",
        'gate = Gate("g", False, "accuracy 0.12, the gate is 0.60")',
        "verdict(finding(2.0, gates=(gate,)))",
        said="It cannot be said.",
        criterion="published",
    )
)


@pytest.fixture
def study(pytester, monkeypatch):
    return alone(pytester, monkeypatch)


def records(study):
    return json.loads((study.path / "reports" / "verdicts.json").read_text())["verdicts"]


def by_prediction(study):
    return {(r["prediction_id"], r["model"]["name"]): r for r in records(study)}


def test_supported_passes_refuted_fails_inconclusive_skips(study):
    study.makepyfile(test_h9_x=THREE)
    result = study.runpytest("--model=mini-qwen", "-rs")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*refuted: count: 0, needed >= 1",
            "supported *mini-qwen *h9 *It holds.*count: * = 2, needed >= 1",
        ]
    )
    result.stdout.fnmatch_lines(["*inconclusive: accuracy 0.12, the gate is 0.60*"])
    assert result.ret == 1
    found = by_prediction(study)
    assert found["holds", "mini-qwen"]["outcome"] == "supported"
    assert found["fails", "mini-qwen"]["reason"] == "count: 0, needed >= 1"
    assert found["says_nothing", "mini-qwen"]["criterion"] == "published"
    constants = found["holds", "mini-qwen"]["plan"]["constants"]
    assert {name: value for name, value in constants.items() if "." not in name} == {"BAR": 1.0}


def test_every_prediction_runs_on_every_model(study):
    study.makepyfile(test_h9_x=THREE)
    study.runpytest("--model=mini-qwen", "--model=mini-llama").assert_outcomes(
        passed=2, failed=2, skipped=2
    )
    assert len(by_prediction(study)) == 6


def test_gate_none_lets_a_refuted_claim_end_well(study):
    study.makepyfile(test_h9_x=THREE)
    result = study.runpytest("--model=mini-qwen", "--gate=none")
    result.assert_outcomes(passed=1, xfailed=1, skipped=1)
    assert result.ret == 0
    assert by_prediction(study)["fails", "mini-qwen"]["outcome"] == "refuted"


def test_criterion_deselects_the_other(study):
    study.makepyfile(test_h9_x=THREE)
    study.runpytest("--model=mini-qwen", "--criterion=published").assert_outcomes(
        skipped=1, deselected=2
    )


WHERE = '''
import os
from pathlib import Path

@pytest.mark.parametrize("n", range(4))
@pytest.mark.criterion("controlled")
def test_where(model_name, verdict, n):
    """Somewhere."""
    Path(f"seen-{model_name}-{os.environ.get('PYTEST_XDIST_WORKER')}").touch()
    verdict(finding(2.0))
'''
DOSE = '''
from harness.verdicts.plots import Plot, PlotPanel, Series

@pytest.mark.criterion("controlled")
def test_dose(model_name, verdict):
    """It grows."""
    panel = PlotPanel("", (Series("recall", "recall", (1, 2), (0.1, float("nan"))),))
    plot = Plot("curve", "dose", "It grows.", "A point a dose.", "heads", "drop", (panel,))
    verdict(finding(2.0, plots=[plot]))
'''
BOTH = ("--model=mini-qwen", "--model=mini-llama", "--gate=none")


def seen(study):
    """Which worker ran which model."""
    return sorted(p.name for p in study.path.glob("seen-*"))


def test_workers_send_the_same_verdicts_and_figures_and_have_a_model_each(study):
    study.makepyfile(test_h9_x=THREE + DOSE + WHERE)
    study.runpytest(*BOTH)
    alone = by_prediction(study)
    for path in study.path.glob("seen-*"):  # of a worker around this test
        path.unlink()
    study.runpytest("-n2", *BOTH).assert_outcomes(passed=12, xfailed=2, skipped=2)
    assert len(seen(study)) == 2, seen(study)
    together = by_prediction(study)
    assert alone.keys() == together.keys()
    changing = ("run_id", "created", "seconds")
    for key, record in alone.items():
        assert " -n2 " in together[key]["provenance"].pop("command")
        assert " -n2 " not in record["provenance"].pop("command")
        for name in record.keys() - set(changing):
            assert record[name] == together[key][name], (key, name)
    folder = study.path / "reports"
    found = json.loads((folder / "plots.json").read_text())
    assert {(p["model"], p["claim_id"], p["prediction_id"]) for p in found} == {
        *(("mini-qwen", "h9", "dose"), ("mini-llama", "h9", "dose"))
    }
    assert found[0]["plot"]["panels"][0]["series"][0]["y"] == [0.1, None]
    assert "mini-llama: dose" in (folder / "report.html").read_text()


@pytest.mark.usefixtures("forked_workers")
def test_a_model_stays_on_one_worker_however_tests_are_dealt_out(study):
    study.makepyfile(test_h9_x=CLAIM + WHERE)
    study.runpytest("-n2", "--dist=worksteal", *BOTH).assert_outcomes(passed=8)
    assert len(seen(study)) == 2, seen(study)


@pytest.mark.parametrize("name", ["mini-qwen", "mini", "Übung [2] модель", "a b", r"back\slash"])
def test_a_model_is_found_in_a_test_id_whatever_its_name_and_folder(study, name):
    (study.path / "a [b]").mkdir()
    (study.path / "a [b]" / "test_x.py").write_text(
        "import pytest\n"
        f"@pytest.mark.parametrize('name,n', [({name!r}, 'x'), ('mini-qwen-2', 'x')])\n"
        "def test_x(name, n): pass\n"
        f"@pytest.mark.parametrize('name', [{name!r}])\n"
        "def test_y(name): pass\n"
        "def test_z(): pass\n"
    )
    items, _ = study.inline_genitems("-p", "no:cacheprovider")
    names = ["mini-qwen-2", name]
    ids = [item.nodeid for item in items]
    assert [hooks.scope_of(each, names) for each in ids] == [name, "mini-qwen-2", name, ids[3]]


def test_an_error_is_a_row_that_says_not_measured(study):
    study.makepyfile(
        test_h9_x=CLAIM
        + """
@pytest.fixture
def broken():
    raise RuntimeError("the disk is gone")
"""
        + prediction("in_setup", asks="model_name, broken", said="Setup fails.")
        + prediction("in_call", 'raise ValueError("layer 3 is not finite")')
    )
    result = study.runpytest("--model=mini-qwen")
    assert result.ret == 1
    found = by_prediction(study)
    assert {r["outcome"] for r in found.values()} == {"not measured"}
    assert "the disk is gone" in found["in_setup", "mini-qwen"]["reason"]
    assert "layer 3 is not finite" in found["in_call", "mini-qwen"]["reason"]


def test_verdicts_are_on_disk_as_they_fall(study):
    study.makepyfile(
        test_h9_x=CLAIM
        + prediction("first", HOLDS)
        + """
import sys

def test_second(subject):
    from pathlib import Path
    lines = Path("reports/verdicts.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert "torch" not in sys.modules  # slow to import, and nothing was measured
    raise KeyboardInterrupt
"""
    )
    study.runpytest_subprocess("--model=mini-qwen")
    assert [r["prediction_id"] for r in records(study)] == ["first"]
    assert (study.path / "reports" / "report.html").stat().st_size > 10_000
    assert STOPPED in (study.path / "reports" / "report.html").read_text()


def test_last_failed_and_stop_at_first_work(study):
    study.makepyfile(test_h9_x=THREE)
    report = study.path / "reports" / "report.html"
    study.runpytest("--model=mini-qwen", "-x").assert_outcomes(passed=1, failed=1)
    assert STOPPED in report.read_text()
    again = study.runpytest("--model=mini-qwen", "--lf")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["report: *", "it replaced the report of 20??-??-?? ??:??"])
    assert STOPPED not in report.read_text()
    study.runpytest("--model=mini-qwen", "-k", "holds").assert_outcomes(passed=1, deselected=2)


def test_a_criterion_is_a_keyword(study):
    study.makepyfile(test_h9_x=THREE)
    study.runpytest("--co", "-k", "h9 and published").stdout.fnmatch_lines(
        ["*2/6 tests collected*"]
    )
    study.runpytest("--co", "-k", "h9 and controlled").stdout.fnmatch_lines(
        ["*4/6 tests collected*"]
    )


def test_junit_xml_is_written(study):
    study.makepyfile(test_h9_x=THREE)
    study.runpytest("--model=mini-qwen", "--junitxml=out.xml")
    assert 'name="verdict"' in (study.path / "out.xml").read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model=mini-qwem"], "*no model is called 'mini-qwem': did you mean mini-qwen*"),
        (["--model=./nowhere"], "*there is no folder './nowhere'*"),
        (["--prompts=nothing.jsonl"], "*prompt file nothing.jsonl is not there*"),
        (["--criterion=strict"], "*--criterion 'strict': expected one of published, controlled*"),
        (["--twins=-1"], "*--twins '-1': expected a whole number of at least 0*"),
        (["--items=many"], "*--items 'many': expected a whole number of at least 1*"),
        (["--items=²"], "*--items '²': expected a whole number of at least 1*"),
        (["--batch-size=0"], "*--batch-size '0': expected a whole number of at least 1*"),
        (["--dtype=int4"], "*--dtype 'int4': expected one of auto, float32*"),
        (["--cache=sometimes"], "*--cache 'sometimes': expected one of use, refresh, off*"),
        (["--prompt-columns=tusk=kind"], "*'tusk' is none of our columns; did you mean task*"),
    ],
)
def test_a_wrong_option_is_a_usage_error_of_one_sentence(study, options, sentence):
    study.makepyfile(test_h9_x=THREE)
    result = study.runpytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {sentence}"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_prompt_file_with_a_bad_line_names_it(study):
    study.makepyfile(test_h9_x=THREE)
    rows = [json.dumps({"prompt": f"p{i}", "task": "ab"[i % 2]}) for i in range(20)]
    rows[16] = '{"prompt": "p16"'
    (study.path / "my.jsonl").write_text("\n".join(rows))
    result = study.runpytest("--prompts=my.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*line 17*"])


def test_a_bad_prompt_file_names_its_first_lines_and_the_command_for_the_rest(study):
    study.makepyfile(test_h9_x=THREE)
    rows = [{"q": f"{i}?", "options": ["a", "b"], "answer": 2, "label": i % 2} for i in range(20)]
    (study.path / "my.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    result = study.runpytest("--prompts=my.jsonl", "--prompt-columns=question=q")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*my.jsonl, line 1: answer is 2: expected*",
            "*my.jsonl, line 10: *",
            "*... and 10 more; all of them: python -m harness prompts check my.jsonl "
            "--prompt-columns question=q --all",
        ]
    )


def test_columns_of_a_prompt_file_reach_the_materials(study, monkeypatch):
    study.makepyfile(
        test_h9_x="""
import pytest

@pytest.mark.criterion("published")
def test_materials(prompts):
    assert prompts.tasks == ("recall", "reasoning")
    assert prompts.items[1].answer == "b"
    assert prompts.items[1].prompt == "Q: 1?\\nA:"
"""
    )
    rows = [
        {"q": f"{i}?", "options": ["a", "b"], "pick": 1, "kind": ("Memory", "Reasoning")[i % 2]}
        for i in range(8)
    ]
    (study.path / "my.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.setenv("HARNESS_PROMPT_COLUMNS", "question=q,task=kind,answer_index=pick")
    study.runpytest("--prompts=my.jsonl").assert_outcomes(passed=1)


def test_options_can_be_set_in_the_environment_and_are_shown(study, monkeypatch):
    monkeypatch.setenv("HARNESS_MODEL", "mini-llama")
    monkeypatch.setenv("HARNESS_GATE", "none")
    study.makepyfile(test_h9_x=THREE)
    result = study.runpytest()
    result.stdout.fnmatch_lines(["set: *HARNESS_GATE=none*"])
    assert {r["model"]["name"] for r in records(study)} == {"mini-llama"}


@pytest.mark.usefixtures("forked_workers")
def test_a_hub_model_has_one_commit_in_all_of_a_run(study):
    study.makeconftest(
        'pytest_plugins = ("harness.plugin.hooks", "harness.plugin.fixtures")\n'
        "import os, time, types, huggingface_hub\n"
        "def moved(*args, **kwargs):\n"
        "    return types.SimpleNamespace(sha=f'{time.time_ns():040x}')\n"
        "huggingface_hub.HfApi.model_info = moved\n"
    )
    study.makepyfile(
        test_h9_x=CLAIM
        + """
@pytest.mark.parametrize("n", range(6))
@pytest.mark.criterion("controlled")
def test_commit(subject, verdict, n):
    'One.'
    with open("commits", "a") as file:
        print(subject.spec.commit, file=file)
"""
    )
    result = forks.run(study, "--model=org/name", "--model=org/other", "-n2")
    printed = [line.split()[-1] for line in result.outlines if ": commit " in line]
    assert len(printed) == 2
    used = (study.path / "commits").read_text().split()
    assert len(used) == 12
    assert set(used) == set(printed)


def test_shuffled_labels_and_another_gate_are_said_in_header_and_record(study):
    study.makepyfile(test_h9_x=THREE)
    result = study.runpytest("--model=mini-qwen", "--shuffle-labels=0.5", "--competence-gate=0")
    result.stdout.fnmatch_lines(["NOT A RESULT ABOUT THE MODEL*0.5*", "the competence gate*0*"])
    for record in records(study):
        assert record["provenance"]["shuffle_labels"] == 0.5
        assert record["provenance"]["competence_gate"] == 0
        if record["outcome"] != "not measured":
            assert "--shuffle-labels" in record["notes"][0]
    for wrong in ("2", "-0.1", "half"):
        result = study.runpytest(f"--shuffle-labels={wrong}")
        result.stderr.fnmatch_lines([f"*--shuffle-labels '{wrong}': expected a share*"])


def test_a_prediction_without_a_docstring_or_criterion_is_refused(study):
    study.makepyfile(test_h9_x=CLAIM + prediction("silent", HOLDS, said=""))
    result = study.runpytest("--model=mini-qwen")
    assert result.ret == pytest.ExitCode.USAGE_ERROR  # before anything is measured
    result.stderr.fnmatch_lines(["*test_silent has no docstring*"])


def test_tests_without_a_verdict_write_no_report(study):
    study.makepyfile("def test_nothing(): pass")
    study.runpytest().assert_outcomes(passed=1)
    assert not (study.path / "reports").exists()


def test_a_model_card_is_written_on_request_and_says_how_the_run_was_called(study, monkeypatch):
    study.makepyfile(test_h9_x=THREE)
    monkeypatch.setenv("HARNESS_REPORT_MD", "cards/from a variable.md")
    result = study.runpytest("--model=mini-qwen", "--gate=none")
    result.stdout.fnmatch_lines(["model card: *from a variable.md"])
    card = (study.path / "cards" / "from a variable.md").read_text(encoding="utf-8")
    called = records(study)[0]["provenance"]["command"]
    assert called.startswith("HARNESS_REPORT_MD='cards/from a variable.md' pytest ")
    assert " --model=mini-qwen --gate=none" in called  # pytester adds to it
    assert f"Command: `{called}`" in card
    study.runpytest("--model=mini-qwen", "--gate=none", "--report-md=card.md")
    assert (
        (study.path / "card.md").read_text(encoding="utf-8").startswith("## Claims about mini-qwen")
    )


def test_a_folder_given_as_report_gets_a_report(study):
    study.makepyfile(test_h9_x=THREE)
    (study.path / "out").mkdir()
    for folder in ("out", "new/"):
        study.runpytest("--model=mini-qwen", "--gate=none", f"--report={folder}")
        assert (study.path / folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("option", "path", "problem"),
    [
        ("--report", "file/report.html", "*file is a file"),
        # Root may write to /proc, say the permissions; but nothing can be made there.
        ("--report", "/proc/new/report.html", "/* cannot be written*"),
        ("--report", "/proc/report.html", "/* cannot be written*"),
        ("--report-md", "/proc/new/card.md", "/* cannot be written*"),
        ("--report-md", "folder", "*folder is a folder"),
    ],
)
def test_a_report_that_cannot_be_written_is_a_usage_error_before_anything_runs(
    study, option, path, problem
):
    study.makepyfile(test_h9_x=THREE)
    (study.path / "file").write_text("")
    (study.path / "folder").mkdir()
    result = study.runpytest("--model=mini-qwen", f"{option}={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option} *{path}: {problem}; give another path*"])


def test_without_a_report_a_run_has_failed(study):
    study.makepyfile(
        test_h9_x=CLAIM
        + prediction(
            "holds",
            "import pathlib",
            'pathlib.Path("out/report.html").mkdir(parents=True)',
            HOLDS,
        )
    )
    result = study.runpytest("--model=mini-qwen", "--gate=none", "--report=out/report.html")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the report could not be written (*"])


# Runs into the same folder and into another, in one process: imports take longest.
TWICE = """
import pytest
again = ["--model=mini-qwen", "-k", "nothing"]
assert pytest.main(again) == pytest.ExitCode.USAGE_ERROR
again.append("--report=elsewhere/report.html")
assert pytest.main(again) == pytest.ExitCode.NO_TESTS_COLLECTED
"""


def test_two_runs_do_not_write_to_one_folder_at_once(study):
    study.makepyfile(
        test_h9_x=CLAIM
        + prediction(
            "holds",
            "import subprocess, sys",
            f"other = subprocess.run([sys.executable, '-c', {TWICE!r}], "
            "capture_output=True, text=True)",
            "assert other.returncode == 0, other.stdout",
            'assert "another run writes to" in other.stderr',
            HOLDS,
        )
    )
    study.runpytest("--model=mini-qwen").assert_outcomes(passed=1)
    # It has let go of the folder.
    result = study.runpytest("--model=mini-qwen", "-k", "nothing")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_signal_on_an_instruction_without_a_line_is_said_as_any_other():
    def stopped():
        raise KeyboardInterrupt

    lineless = FunctionType(stopped.__code__.replace(co_linetable=b""), {})
    with pytest.raises(KeyboardInterrupt) as excinfo:
        lineless()
    with pytest.raises(TypeError):
        excinfo.getrepr()
    hooks.pytest_keyboard_interrupt(excinfo)
    assert "KeyboardInterrupt" in str(excinfo.getrepr())


def test_a_signal_of_which_a_library_makes_an_error_of_its_own_stops_the_run(study):
    study.makepyfile(
        test_h9_x=CLAIM
        + prediction("first", HOLDS)
        + prediction(
            "second",
            "try:",
            "    raise KeyboardInterrupt",
            "except BaseException as error:",
            '    raise RuntimeError("a thread ended") from error',
        )
        + prediction("third", HOLDS)
    )
    result = forks.run(study, "--model=mini-qwen", "--gate=none")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["report: *", "*KeyboardInterrupt*"])


def test_a_run_stopped_before_its_first_verdict_says_so_and_keeps_the_last_report(study):
    study.makepyfile(test_h9_x=CLAIM + prediction("first", HOLDS))
    study.runpytest("--model=mini-qwen").assert_outcomes(passed=1)
    before = {p: p.read_bytes() for p in (study.path / "reports").rglob("*") if p.is_file()}
    study.makepyfile(test_h9_x=CLAIM + prediction("first", "raise KeyboardInterrupt"))
    result = forks.run(study, "--model=mini-qwen")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "stopped before the first verdict: nothing is judged yet and no report was written "
            "(*report.html is that of an earlier run); what was measured is stored, the same "
            "command goes on from it"
        ]
    )
    after = {p: p.read_bytes() for p in (study.path / "reports").rglob("*") if p.is_file()}
    assert after == before


def test_sigterm_in_the_first_prediction_is_an_interruption_too(study):
    """What functions were given is not written out: for a model's arrays it takes half a minute."""
    study.makepyfile(
        test_h9_x=CLAIM
        + """
class Large:
    def __repr__(self):
        print("written out")
        return "large"

def stopped(large):
    import os, signal, time
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(8)
"""
        + prediction("first", "(lambda large: stopped(Large()))(Large())")
    )
    result = forks.run(study, "-s")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["stopped before the first verdict: *", "*KeyboardInterrupt*"])
    assert result.stdout.str().count("written out") <= 1  # of the function that was stopped


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model=mini-qwen",), "Exit: stopped before anything was measured"),
        (("-n1", str(ROOT / "hypotheses")), "*KeyboardInterrupt*"),
        (("-n1", "own claims"), "*KeyboardInterrupt*"),
    ],
)
def test_sigterm_before_the_run_begins_is_said(study, options, said):
    """On workers without options of ours, nothing but the files tells what is run."""
    early = """
        import os, signal
        import harness.plugin.predictions

        def now(*_):
            os.kill(os.getpid(), signal.SIGTERM)

        def pytest_xdist_node_collection_finished(node, ids):
            now()
    """
    if "-n1" not in options:
        early += "\n        harness.plugin.predictions.settings_of = now\n"
    study.makepyfile(early=early)
    (study.mkdir("own claims") / "test_h9_x.py").write_text(THREE)
    result = forks.run(study, "-p", "early", *options)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in result.stderr.str()
    (result.stdout if "-n1" in options else result.stderr).fnmatch_lines([said])


@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT"])
def test_a_signal_after_the_last_prediction_changes_nothing(study, sent):
    """SIGINT up to the end of Python; SIGTERM up to that of pytest, when all is written."""
    study.makepyfile(
        test_h9_x=CLAIM + prediction("holds", HOLDS),
        late=f"""
        import atexit, os, signal, pytest

        def now(*_):
            os.kill(os.getpid(), signal.{sent})

        if "{sent}" == "SIGINT":
            atexit.register(now)

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_sessionfinish(session):
            now()
            return (yield)

        def pytest_collection_finish(session):
            session.config.add_cleanup(now)

        def pytest_unconfigure():
            now()
        """,
    )
    options = ("-p", "late", "--model=mini-qwen")
    ends_as_python_does = study.runpytest_subprocess
    run = ends_as_python_does if sent == "SIGINT" else partial(forks.run, study)
    result = run(*options)
    assert result.ret == 0
    assert "KeyboardInterrupt" not in result.stdout.str() + result.stderr.str()
    assert (study.path / "reports" / "report.html").is_file()


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_run_that_is_stopped_from_outside_writes_its_report(study, sent, workers):
    study.makepyfile(
        test_h9_x=CLAIM
        + prediction("first", HOLDS)
        + prediction(
            "second",
            "import os, pathlib, signal, time",
            'run = pathlib.Path("reports/verdicts.jsonl")',
            "while not (run.exists() and run.read_text()):",
            "    time.sleep(0.05)",
            f"os.kill(os.getppid() if {bool(workers)} else os.getpid(), signal.{sent})",
            'report, patience = pathlib.Path("reports/report.html"), time.monotonic() + 60',
            "# Until then, workers would be let finish.",
            "while not report.exists() and time.monotonic() < patience:",
            "    time.sleep(0.05)",
        )
    )
    result = forks.run(study, "--model=mini-qwen", *workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*supported*It holds.*", "*report: *report.html"])
    assert (study.path / "reports" / "report.html").is_file()
    assert [r["prediction_id"] for r in records(study)][:1] == ["first"]


MARKED = (
    CLAIM.replace("import pytest", "import pytest\nfrom harness.verdicts.severity import Severity")
    + '''
def with_p(p, **more):
    e = Evidence("d", Effect("d", 2.0, (1.5, 2.5)), threshold=BAR, relation=">", p_adjusted=p,
                 alpha=0.05, n=9)
    return Finding((e,), **more)

@pytest.mark.criterion("controlled", primary=True)
def test_first(model_name, verdict):
    """The first holds."""
    verdict(with_p(0.03, severity=Severity(2, 28)))

@pytest.mark.criterion("controlled", primary=True)
def test_second(model_name, verdict):
    """The second holds."""
    verdict(with_p(0.001))

@pytest.mark.criterion("controlled")
def test_third(model_name, verdict):
    """The third is undecided."""
    e = Evidence("share", Effect("share", 0.8, (0.7, 0.9)), threshold=0.8, relation=">", n=9)
    verdict(Finding((e,)))
'''
)


def test_severity_primaries_and_stage_are_in_terminal_record_and_report(study):
    study.makepyfile(test_h9_x=MARKED)
    result = study.runpytest("--model=mini-qwen", "--model=mini-llama")
    result.assert_outcomes(passed=4, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "supported *the same rule supports 2 of 28 same-process contrasts [[]0.009, 0.24])",
            "4 of 4 primary predictions are supported, 2 of them after Holm's correction "
            "over the 4 with a p; if no claim were true, at most 0.20 would be supported",
            "  not after correction: h9 mini-qwen first, adjusted p 0.06, needed <= 0.05",
            "exploratory, because the plan was tuned on them: mini-qwen, mini-llama",
        ]
    )
    found = by_prediction(study)
    first = found["first", "mini-qwen"]
    assert (first["primary"], first["severity"]["contrasts"]) == (True, 28)
    assert "primary" not in found["third", "mini-qwen"]
    assert found["third", "mini-qwen"]["outcome"] == "inconclusive"
    assert {r["stage"] for r in records(study)} == {"exploratory"}
    assert "harness.findings.gates" in first["plan"]["constants"]
    head = json.loads((study.path / "reports" / "verdicts.json").read_text())["primaries"]
    assert [p["remains"] for p in head["predictions"]].count(True) == 2
    page = (study.path / "reports" / "report.html").read_text(encoding="utf-8")
    for said in ("of 28 same-process contrasts", "primary predictions are supported", "undecided"):
        assert said in page
