"""The claims of docs/own-claims.md run as they are printed, and come out as it says."""

import json
import re

import pytest

import harness.adapter  # noqa: F401 - once, for all of the runs below
from tests.support import forks
from tests.support.inner_runs import KNOWN_SPEED, ROOT, alone

PLACES = ("France", "Japan", "Kenya", "Peru", "Norway", "Egypt", "India", "Chile", "Ghana", "Cuba")


@pytest.fixture
def claim(pytester, monkeypatch):
    """A folder with the claim as documented, and with prompts of the documented form."""
    page = (ROOT / "docs" / "own-claims.md").read_text(encoding="utf-8")
    source, named = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (rows,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    folder = alone(pytester, monkeypatch)
    (folder.path / "own").mkdir()
    (folder.path / "own" / "test_negation.py").write_text(source)
    (folder.path / "test_induction.py").write_text(named)
    prompts = "".join(rows.replace("France", place) for place in PLACES)
    (folder.path / "own" / "negation.jsonl").write_text(prompts)
    return folder


OPTIONS = ("--model=mini-qwen", "--gate=none", "--twins=1", "--no-controls", *KNOWN_SPEED)


def test_the_documented_claim_is_judged_on_the_prompts_it_brings(claim):
    # --prompts is for the other claims of the run.
    result = forks.run(claim, "own", *OPTIONS, "--prompts=geography", "-v")
    result.stdout.fnmatch_lines(["*::test_heads_differ?mini-qwen-negation.jsonl? *"])
    (record,) = json.loads((claim.path / "reports" / "verdicts.json").read_text())["verdicts"]
    assert record["outcome"] == "refuted"  # as the page says
    assert record["claim"] == "Attention heads tell negated sentences from affirmed ones."
    assert record["materials"]["name"] == "negation"
    assert record["materials"]["n"] == {"negated": 10, "affirmed": 10}
    assert [control["name"] for control in record["controls"]] == ["untrained twin 1"]


def test_the_documented_circuit_is_judged_by_the_rule_of_h5(claim):
    result = forks.run(claim, "test_induction.py", *OPTIONS, "--items=120")
    result.assert_outcomes(xfailed=1)
    (record,) = json.loads((claim.path / "reports" / "verdicts.json").read_text())["verdicts"]
    assert record["outcome"] == "refuted"
    assert any("the 4 heads are those that the claim names" in note for note in record["notes"])


def test_a_claim_whose_prompts_are_missing_is_told_so(claim):
    (claim.path / "own" / "negation.jsonl").unlink()
    result = forks.run(claim, "own", *OPTIONS)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*prompt file *negation.jsonl is not there*"])
