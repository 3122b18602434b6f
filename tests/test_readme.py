"""What the README tells people to type is what CI runs, and what it shows is there."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness.commands import doctor, main
from harness.plugin.options import OPTIONS
from tests.commands.test_look import KNOWN

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        "pip install -q -c constraints.txt -e '.[dev]'",
        "pytest -n 2",
        "pytest hypotheses/ -n 2 --gate none",
    ],
)
def test_ci_runs_the_commands_of_the_readme(command):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in README
    assert f'"$venv/bin/{command}'.replace("pip ", 'pip" ').replace("pytest ", 'pytest" ') in script


def test_linked_files_exist():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_claim_is_in_the_table():
    for path in (ROOT / "hypotheses").glob("test_*.py"):
        assert f"docs/claims/{path.stem.split('_')[1]}.md" in README


def test_it_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 90
    assert len(README.split()) <= 1_200


def test_no_measurement_is_left_to_fill_in():
    assert "<!-- measured" not in README


def test_the_picture_of_a_report_is_light_and_described():
    alt, picture = re.search(r"!\[([^\]]+)\]\(([^)]+\.png)\)", README).groups()
    assert len(alt) > 60
    assert (ROOT / picture).stat().st_size < 250_000


def test_the_recipe_for_ci_is_a_workflow_whose_commands_exist(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    workflow = yaml.safe_load(re.search(r"```yaml\n(.+?)```", page, re.DOTALL)[1])
    steps = workflow["jobs"]["hypotheses"]["steps"]
    lines = [line for step in steps for line in step.get("run", "").splitlines()]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "speed_before", lambda *_: KNOWN)
    known = {name for name, *_ in OPTIONS} | {"--junitxml", "-n"}
    ran = []
    for line in lines:
        words = shlex.split(line.replace("$HARNESS_MODEL", "mini-qwen"))
        ran.append(words[0])
        if words[:3] == ["python", "-m", "harness"]:
            assert main(words[3:]) in (0, 2)  # nothing was run here; argparse would have exited
        elif words[0] == "pytest":
            assert {word for word in words if word.startswith("-")} <= known
        else:
            assert words[:2] == ["pip", "install"]
    assert ran == ["pip", "pip", "python", "pytest", "python"]
