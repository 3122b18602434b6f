"""An installed copy: what the wheel holds, and what it does to pytest runs in other folders."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.models.recipes import recipe_hash
from harness.plugin import entry
from harness.study.fingerprint import instrument

ROOT = Path(__file__).resolve().parents[2]
IGNORED = shutil.ignore_patterns(
    ".*", "__pycache__", "build", "dist", "*.egg-info", "venv", "tests"
)
HEAVY = ("numpy", "scipy", "torch", "pandas", "transformers", "plotly")


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder with the wheel unpacked in it, as pip does, first on the path of subprocesses."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT, source, ignore=IGNORED, dirs_exist_ok=True)
    built = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", built, str(source / "dist")]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    return site


@pytest.fixture
def run(installed, tmp_path):
    """Run Python in an empty folder with the installed copy; its output."""

    def python(*arguments, status=0):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS_", "PYTEST_"))}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**kept, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return python


def test_nothing_lies_beside_the_package(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"harness"}


def test_the_installed_copy_is_imported_and_is_the_same_instrument(run, installed):
    said = run(
        "-c",
        "import harness.files as f; from harness.study.fingerprint import instrument; "
        "print(f.DATA, f.IN_CHECKOUT, instrument())",
    )
    assert said.split() == [str(installed / "harness"), "False", instrument()]


def test_an_installed_copy_writes_the_same_reference_models(run, tmp_path):
    said = run(
        "-c",
        "from pathlib import Path; from harness.models import recipes; "
        "print(recipes.recipe_hash(), recipes.written_organism('one-step-apart', Path('here')))",
    )
    recipe, folder = said.split()
    assert recipe == recipe_hash()
    assert (tmp_path / folder / "model.safetensors").is_file()


# `python -m harness` with each of several command lines, in one process: imports take longest.
EACH = """
import runpy, shlex, sys
for line in sys.argv[1:]:
    sys.argv[1:] = shlex.split(line)
    try:
        runpy.run_module("harness", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, line
"""

# A run of pytest in a process that has imported nnsight already, and then the rest of the package.
AFTER_NNSIGHT = """
import sys
import nnsight, pytest
assert not pytest.main(sys.argv[1:])
import importlib, pkgutil, harness
for module in pkgutil.walk_packages(harness.__path__, "harness."):
    module.name.endswith("__main__") or importlib.import_module(module.name)
"""


def test_commands_find_their_data_and_a_claim_of_ones_own_runs_without_a_conftest(run, tmp_path):
    said = run("-c", EACH, "hypotheses", "models", "new claim mine_reasoning")
    assert "h8  " in said
    assert "mini-qwen  " in said
    options = (
        "--model=mini-qwen",
        "--items=12",
        "--no-controls",
        "--cache=off",
        "--strict-markers",
    )
    without = ("-p", "no:hypothesispytest", "-p", "no:anyio")  # anyio must come before nnsight
    said = run("-c", AFTER_NNSIGHT, *without, "test_mine_reasoning.py", *options)
    assert "1 prediction takes " in said  # at the speed that was measured
    assert "1 passed" in said
    (record,) = json.loads((tmp_path / "reports" / "verdicts.json").read_text())["verdicts"]
    assert (record["claim_id"], record["outcome"]) == ("mine", "supported")
    assert (tmp_path / "reports" / "report.html").stat().st_size > 100_000


def test_the_claims_that_ship_are_collected_by_name(run):
    said = run("-m", "pytest", "--pyargs", "harness.hypotheses", "--collect-only", "-q")
    assert "test_h8_interaction.py::" in said
    assert "mini-llama" in said


FOREIGN = """
import sys
import pytest

@pytest.fixture
def verdict():
    return "guilty"

@pytest.mark.parametrize("model_name", ["a", "b"])
def test_of_somebody_else(verdict, model_name, pytestconfig):
    assert verdict == "guilty"
    assert pytestconfig.getoption("device") == "theirs"
    assert "harness.plugin.hooks" in sys.modules
    assert "harness.plugin.predictions" not in sys.modules
"""


def test_a_run_that_has_nothing_to_do_with_it_is_left_as_it_is(run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--device', default='theirs')\n"
    )
    (tmp_path / "test_foreign.py").write_text(FOREIGN)
    said = run("-m", "pytest", "--strict-markers", "--cache-clear", "test_foreign.py", "-n0")
    assert "2 passed" in said
    assert not [word for word in ("verdicts", "report:", "models:") if word in said]
    assert not (tmp_path / "reports").exists()
    assert "--hypotheses-device" in run("-m", "pytest", "--help")


def test_the_plugin_is_light(run):
    said = run("-c", f"import {', '.join(entry.PLUGINS)}, sys; print(*sys.modules)")
    assert not set(HEAVY) & set(said.split())
