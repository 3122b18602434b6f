"""One hashed plan: every constant that can change a verdict is in it."""

import itertools
import re
from pathlib import Path

import pytest

import harness
from harness.findings import gates
from harness.findings.circuits import neuron_scores
from harness.findings.direction import held_out
from harness.findings.specialisation import published
from harness.interventions.interventions import ZERO
from harness.plugin import constants
from harness.study import difficulty
from harness.verdicts import wording
from harness.verdicts.verdict import plan_of
from tests.support.tiny_models import largest_difference


@pytest.fixture
def fresh():
    """The constants as they are now; they are read once a process."""
    constants.suite_constants.cache_clear()
    yield constants.suite_constants
    constants.suite_constants.cache_clear()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (held_out, "LEAST_IN_STRATUM"),
        (published, "_SHUFFLES"),
        (gates, "FIRST_ITEMS"),
        (neuron_scores, "PATH_STEPS"),
        (difficulty, "GATE"),
        (wording, "NEGLIGIBLE"),
    ],
)
def test_a_changed_constant_changes_the_hash(monkeypatch, fresh, module, name):
    before = plan_of({"ALPHA": 0.01, **fresh()})
    monkeypatch.setattr(module, name, getattr(module, name) * 2)
    fresh.cache_clear()
    after = plan_of({"ALPHA": 0.01, **fresh()})
    assert after.hash != before.hash
    assert after.suite[module.__name__][name] == 2 * before.suite[module.__name__][name]
    assert after.own == before.own == {"ALPHA": 0.01}


def test_what_json_has_no_type_for_is_a_constant_too():
    """A claim may import ZERO and MEAN, or set a pattern; every process writes the same text."""
    plan = plan_of(
        {
            "CLASS": Path,
            "EDIT": ZERO,
            "ENDLESS": itertools.count(),
            "FUNCTION": largest_difference,
            "NAMES": {"b", "a", "c"},
            "PATTERN": re.compile("a+"),
            "THING": object(),
        }
    )
    assert plan.own == {
        "CLASS": "pathlib.Path",
        "EDIT": {"name": "zero", "edits": "harness.interventions.interventions._zero"},
        "ENDLESS": "count(0)",
        "FUNCTION": "tests.support.tiny_models.largest_difference",
        "NAMES": ["a", "b", "c"],
        "PATTERN": "re.compile('a+')",
        "THING": "<object object>",
    }


def test_a_changed_setting_of_difficulty_changes_the_hash(monkeypatch, fresh):
    before = plan_of(fresh()).hash
    monkeypatch.setattr(difficulty, "SETTINGS", difficulty.SETTINGS[:-1])
    fresh.cache_clear()
    assert plan_of(fresh()).hash != before


def test_no_number_of_a_module_that_decides_is_left_out(fresh):
    """Every upper-case number at the head of a finding's file, found again by its text."""
    root = Path(harness.__file__).parent
    number = re.compile(r"^(_?[A-Z][A-Z0-9_]*)(?:: [^=]+)? = \(?[-0-9.]", re.MULTILINE)
    found = fresh()
    for path in sorted((root / "findings").rglob("*.py")):
        if path.stem == "plots":
            continue
        module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        names = set(number.findall(path.read_text(encoding="utf-8"))) - set(constants.CUT_WORK)
        assert names <= set(found.get(module, ())), module
