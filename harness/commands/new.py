"""`python -m harness new claim NAME`: a hypothesis file to start from, which runs as it is."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from harness.files import DATA, write_text
from harness.models.specs import ModelError

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
HELP = """\
Writes test_NAME.py, a claim with one controlled prediction: that the model answers most of the
reasoning items. It runs as it is; change the sentences, the measurement and the bar into your own.
What comes before the first underscore of NAME is the claim's id in reports.

Exit status: 0 written, 2 the name cannot be used or the file exists."""
EPILOG = """\
examples:
  python -m harness new claim mine_reasoning
  pytest test_mine_reasoning.py --model mini-qwen"""

CLAIM = '''\
"""The claim, in one sentence: this line is printed in the report."""

import pytest

from harness.stats import binomial_interval
from harness.verdicts.evidence import Effect, Evidence
from harness.verdicts.judge import Finding

LEAST = 0.60  # constants in capitals are the analysis plan; their hash is in every verdict


@pytest.mark.criterion("controlled")
def test_reasoning_is_answered(study, verdict):
    """The prediction, in one sentence: the model answers more than 60 % of the reasoning items."""
    asked = [item.task == "reasoning" for item in study.prompts.items]
    right = study.subject.answers(study.prompts).correct[asked]
    k, n = int(right.sum()), len(right)
    effect = Effect("accuracy", k / n, binomial_interval(k, n))
    verdict(Finding((Evidence("reasoning answered", effect, threshold=LEAST, relation=">", n=n),)))
'''


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `new claim`."""
    parser = subparsers.add_parser(
        "new",
        help="write a claim to start from",
        epilog="Example: python -m harness new claim mine_reasoning",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    claim = actions.add_parser(
        "claim",
        help="write a hypothesis file that runs",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    claim.add_argument("name", metavar="NAME", help="such as mine_reasoning: test_NAME.py")
    claim.add_argument(
        "--folder", type=Path, default=Path(), help="where to write it (default: here)"
    )
    claim.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file and say how to run it.

    Raises:
        ModelError: If the name cannot be used or the file exists.
    """
    name = _checked(options.name)
    path = options.folder / f"test_{name}.py"
    if path.exists():
        raise ModelError(f"{path} exists: choose another name, or delete it first.")
    claim_id = name.partition("_")[0]
    if beside := [*options.folder.glob(f"test_{claim_id}.py"), *_of(claim_id, options.folder)]:
        raise ModelError(
            f"{claim_id!r} is the id of the claim in {beside[0]}: begin the name with another word."
        )
    write_text(path, CLAIM)
    print(f"{path}: run it with\n  pytest {path} --model mini-qwen")
    return 0


def _of(claim_id: str, folder: Path) -> Iterator[Path]:
    return folder.glob(f"test_{claim_id}_*.py")


def _checked(name: str) -> str:
    """The name, if it can be a claim's.

    Raises:
        ModelError: If not.
    """
    name = name.removeprefix("test_").removesuffix(".py")
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} is no name for a claim: expected lower-case words joined by underscores, "
            "such as mine_reasoning."
        )
    claim_id = name.partition("_")[0]
    if shipped := next(_of(claim_id, DATA / "hypotheses"), None):
        raise ModelError(
            f"{claim_id!r} is the id of a claim that ships ({shipped.name}): begin the name with "
            "another word."
        )
    return name
