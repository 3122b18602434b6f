"""docs/architecture.md shows the tree and the layers as they are, and names what exists."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HARNESS = ROOT / "harness"
OWN = ("harness", "hypotheses", "fixtures", "benchmarks")


def block(title):
    """The lines of the indented block below a heading."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return [line[4:] for line in section.splitlines() if line.startswith("    ")]


def test_the_tree_of_the_page_is_the_tree():
    shown = {line.split()[0].rstrip("/") for line in block("The tree") if line.startswith("  ")}
    there = {path.name for path in HARNESS.iterdir() if path.name != "__pycache__"}
    assert shown == there


def test_the_top_folders_of_the_page_exist():
    shown = [line.split()[0] for line in block("The tree") if not line.startswith("  ")]
    assert len(shown) > 5
    assert not [name for name in shown if not (ROOT / name).is_dir()]


def test_the_layers_of_the_page_are_those_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers")
    assert block("What may import what") == layers


def test_every_file_and_name_of_the_page_exists():
    places = re.findall(r"`([\w/]+\.(?:py|toml))(?::(\w+))?`", PAGE)
    assert len(places) > 20
    for place, name in places:
        path = HARNESS / place if (HARNESS / place).exists() else ROOT / place
        assert path.is_file(), place
        assert re.search(rf"\b(def|class) {name}\b|^{name}\b", path.read_text(), re.M), name


def sources():
    """Code that others build on; tests may look inside a module."""
    for folder in OWN:
        yield from (ROOT / folder).rglob("*.py")
    yield ROOT / "conftest.py"


def test_no_module_imports_the_private_names_of_another():
    """Ruff's SLF finds `module._name`, and not `from module import _name`."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {name.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OWN
        for name in node.names
        if name.name.startswith("_")
    ]
    assert not found
