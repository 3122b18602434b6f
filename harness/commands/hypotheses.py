"""`python -m harness hypotheses`: the claims and predictions, read without running them."""

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.files import DATA
from harness.foreign import border
from harness.models.specs import ModelError

_FOLDER = DATA / "hypotheses"
HELP = """\
Lists the claims and their predictions, with the criterion each is judged by, from the docstrings of
the hypothesis files: nothing is imported or run. A name after a claim's file goes to pytest.

Exit status: 0 listed, 1 a prediction has no docstring or no criterion, 2 there is no such file."""
EPILOG = """\
examples:
  python -m harness hypotheses
  python -m harness hypotheses mine/test_attention.py --plan
  pytest hypotheses/test_h2_heads.py::test_heads_differ_as_published     runs one of them"""


@dataclass(frozen=True, slots=True)
class ListedPrediction:
    """A test: its name, sentence and criterion, and what it is parametrised over."""

    name: str
    sentence: str
    criterion: str
    over: str


@dataclass(frozen=True, slots=True)
class ListedClaim:
    """A hypothesis file; `constants` are its analysis plan, as written in the file."""

    sentence: str
    predictions: tuple[ListedPrediction, ...]
    constants: tuple[str, ...]


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `hypotheses`."""
    parser = subparsers.add_parser(
        "hypotheses",
        help="list the claims and predictions, with their criteria",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        type=Path,
        help="files or folders (default: the hypotheses that come along)",
    )
    parser.add_argument(
        "--plan", action="store_true", help="show each file's constants, the analysis plan"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list; 1 if a prediction is incomplete, else 0."""
    lacking = 0
    for path in _files(options.paths or [_FOLDER]):
        claim = read_claim(path)
        print(f"{path.stem.removeprefix('test_').split('_')[0]}  {claim.sentence}")
        print(f"    {_shown(path)}")
        for p in claim.predictions:
            over = f"  for each {p.over}" if p.over else ""
            print(f"    {p.criterion or 'NO CRITERION':<12}{p.name}{over}")
            print(f"    {'':<12}{p.sentence or 'NO DOCSTRING: its first line is the prediction'}")
            lacking += not (p.criterion and p.sentence)
        if options.plan:
            print("".join(f"    {'plan':<12}{line}\n" for line in claim.constants), end="")
        print()
    return 1 if lacking else 0


def _shown(path: Path) -> Path:
    whole, here = path.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else path


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            files = sorted(path.glob("test_*.py"))
            if not files:
                raise ModelError(f"{path} holds no hypothesis files: expected test_*.py there.")
            yield from files
        elif path.is_file():
            yield path
        else:
            raise ModelError(f"there is no file or folder {path}: check the path.")


def read_claim(path: Path) -> ListedClaim:
    """The claim, predictions and constants in the text of a file.

    Raises:
        ModelError: If it is not Python.
    """
    with border(path, "Python", "mend it, or name another file", ModelError):
        tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    judged = [node for node in tests if any(a.arg == "verdict" for a in node.args.args)]
    return ListedClaim(
        _first_line(tree) or "NO DOCSTRING: its first line is the claim",
        tuple(_prediction(node) for node in judged),
        tuple(_constants(tree)),
    )


def _first_line(node: ast.Module | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def _prediction(node: ast.FunctionDef) -> ListedPrediction:
    criterion, over = "", []
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
            continue
        first = decorator.args[0] if decorator.args else None
        word = str(first.value) if isinstance(first, ast.Constant) else ""
        if decorator.func.attr == "criterion":
            criterion = word
        elif decorator.func.attr == "parametrize" and word:
            over.append(word)
    return ListedPrediction(node.name, _first_line(node), criterion, " and ".join(over))


def _constants(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(_is_constant(t) for t in node.targets):
            yield ast.unparse(node)


def _is_constant(target: ast.expr) -> bool:
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    return any(isinstance(n, ast.Name) and n.id.isupper() for n in names)
