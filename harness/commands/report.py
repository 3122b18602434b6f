"""`python -m harness report`: the report of a run again, from its files alone."""

import argparse
from pathlib import Path

from harness.compare.past import BaselineError

HELP = """\
Writes report.html again from what a run left beside it: verdicts.json (or verdicts.jsonl, if the
run was interrupted), components.parquet and plots.json. Nothing is measured and no model is loaded.

Exit status: 0 written, 2 the folder holds no verdicts, or a file in it is damaged."""
EPILOG = """\
examples:
  python -m harness report reports
  python -m harness report .baselines/0001_release-1 --output release-1.html"""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `report`."""
    parser = subparsers.add_parser(
        "report",
        help="write a run's report again from its files",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where verdicts.json lies")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="the page to write (default: report.html in the folder)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the report and say where it is; 0."""
    if not options.folder.is_dir():
        raise BaselineError(f"{options.folder} is not a folder: give the one that holds a run.")
    from harness.report.rendering import load_and_render  # noqa: PLC0415 - plotly loads here

    try:
        written = load_and_render(options.folder, options.output)
    except (OSError, ValueError) as error:
        raise BaselineError(str(error)) from None
    print(f"report: {written}")
    return 0
