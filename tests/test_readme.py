"""What the README tells people to type is what CI runs, and what it shows is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        "pip install -q -c constraints.txt -e '.[dev]'",
        "pytest -n 2",
        "pytest hypotheses/ --gate none",
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


def test_every_hypothesis_file_is_in_the_table():
    for path in (ROOT / "hypotheses").glob("test_*.py"):
        assert path.name in README


def test_no_measurement_is_left_to_fill_in():
    assert "<!-- measured" not in README


def test_the_picture_of_a_report_is_light_and_described():
    alt, picture = re.search(r"!\[([^\]]+)\]\(([^)]+\.png)\)", README).groups()
    assert len(alt) > 60
    assert (ROOT / picture).stat().st_size < 250_000
