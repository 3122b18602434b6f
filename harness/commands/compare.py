"""`python -m harness compare`: which verdicts changed between releases, and how much."""

import argparse
import sys
from pathlib import Path

from harness.commands import compare_text
from harness.compare.matching import parse_models
from harness.compare.past import BASELINES, LAST, BaselineError, find
from harness.compare.timeline import Comparison, compare
from harness.foreign import printable

HELP = f"""\
Compares runs of the hypotheses, oldest first: the last is judged against the first, those between
are shown beside. A run is the name or number of a baseline (pytest --save-baseline NAME), {LAST},
the path of a verdicts.json, or the folder of a report.

A verdict regressed if the first release supports it and the last does not. It is weaker, or
stronger, if both support it and its effect moved on the samples both have: difference with a paired
bootstrap interval, p by sign flips, corrected by Holm over all effects compared (0.05). Libraries,
device and batch size may differ and are named; other materials or another plan are refused. What
the first supports and the last does not have is a regression too, unless --allow-gone is given.

Exit status: 0 nothing regressed, 1 something regressed, weakened or is gone, 2 the runs cannot be
compared.
"""
EPILOG = f"""\
examples:
  python -m harness compare release-1 release-2
  python -m harness compare release-1 {LAST} --markdown "$GITHUB_STEP_SUMMARY"
  python -m harness compare release-1 release-2 release-3 --html timeline.html --csv timeline.csv
  python -m harness compare old/verdicts.json reports --baseline-model ./release-2=mini-qwen"""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `compare`."""
    parser = subparsers.add_parser(
        "compare",
        help="compare the verdicts, effects and components of two or more runs",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="two or more, oldest first")
    for name, text in (
        ("--markdown", "append the tables to a file, such as a pull request's summary"),
        ("--csv", "write every prediction with its outcomes and effects"),
        ("--html", "write a page that needs no network"),
    ):
        parser.add_argument(name, metavar="FILE", type=Path, help=text)
    parser.add_argument("--all", action="store_true", help="also show what did not change")
    parser.add_argument(
        "--allow-gone",
        action="store_true",
        help="let predictions that the first run supports be missing in the last",
    )
    _add_matching(parser)
    parser.set_defaults(run=run)


def _add_matching(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--baseline-dir",
        metavar="FOLDER",
        type=Path,
        default=Path(BASELINES),
        help="where baselines are saved (default: %(default)s)",
    )
    parser.add_argument(
        "--baseline-model",
        metavar="OURS=THEIRS",
        action="append",
        default=[],
        help="the earlier model that a model of the last release is compared with; repeatable",
    )
    parser.add_argument(
        "--baseline-on",
        choices=("same", "shared"),
        default="same",
        help="shared: allow another number of items, and compare effects on the samples both have",
    )
    parser.add_argument(
        "--leave-out",
        action="store_true",
        help="leave out verdicts made with other materials or another plan, and compare the rest",
    )


def run(options: argparse.Namespace) -> int:
    """Print and write the comparison; 1 if something regressed, else 0."""
    if len(options.runs) < 2:
        raise BaselineError(
            f"one run, {options.runs[0]!r}, is nothing to compare: name two or more, oldest first."
        )
    releases = [find(text, options.baseline_dir) for text in options.runs]
    comparison = compare(
        releases,
        parse_models(options.baseline_model),
        shared=options.baseline_on == "shared",
        leave_out=options.leave_out,
        allow_gone=options.allow_gone,
    )
    print(printable("\n".join(compare_text.terminal(comparison, everything=options.all))))
    if options.markdown:
        _write(options.markdown, compare_text.comparison_markdown(comparison), append=True)
    if options.csv:
        _write(options.csv, compare_text.comparison_csv(comparison))
    if options.html:
        _write(options.html, _html(comparison))
    sys.stdout.flush()
    return 1 if comparison.regressed else 0


def _html(comparison: Comparison) -> str:
    from harness.report.rendering import releases_page  # noqa: PLC0415 - jinja2 loads here

    return releases_page(comparison)


def _write(path: Path, text: str, *, append: bool = False) -> None:
    try:
        with path.open("a" if append else "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise BaselineError(f"{path} cannot be written: {error.strerror}.") from None
