"""`python -m harness report`: write the report of a run again, from its files."""

import argparse
from pathlib import Path

from harness.compare.past import BaselineError
from harness.files import write_text
from harness.foreign import border
from harness.verdicts.components import REMEDY

HELP = """\
Writes report.html again from what a run left beside it: verdicts.json (or verdicts.jsonl, if the
run was interrupted), components.parquet and plots.json. Nothing is measured and no model is loaded.

Exit status: 0 written, 2 the folder holds no verdicts, or a file in it is damaged."""
EPILOG = """\
examples:
  python -m harness report reports
  python -m harness report .baselines/0001_release-1 --output release-1.html
  python -m harness report reports --md                 report.md, for a model card
  python -m harness report reports --md - | less
  python -m harness report reports --components csv     components/h2_mini-qwen.csv, ..."""


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
    parser.add_argument(
        "--md",
        metavar="FILE",
        nargs="?",
        const="",
        help="write the summary and the table of claims as a section of a model card and leave the "
        "page as it is (default: report.md in the folder; - is the terminal)",
    )
    parser.add_argument(
        "--components",
        choices=("csv", "parquet"),
        help="write the components, one file a claim and model, into components/ in the folder and "
        "leave the page as it is",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the files and print their paths; 0."""
    if not options.folder.is_dir():
        raise BaselineError(f"{options.folder} is not a folder: give the one that holds a run.")
    with border(options.folder, "a run that a report can be made of", REMEDY, BaselineError):
        if options.components:
            _components(options.folder, options.components)
        if options.md is not None:
            _card(options.folder, options.md)
        if options.output or not (options.components or options.md is not None):
            _page(options.folder, options.output)
    return 0


def _page(folder: Path, output: Path | None) -> None:
    from harness.report.rendering import load_and_render  # noqa: PLC0415 - plotly loads here

    print(f"report: {load_and_render(folder, output)}")


def _card(folder: Path, file: str) -> None:
    from harness.report.rendering import load_card  # noqa: PLC0415

    text = load_card(folder)
    if file == "-":
        print(text, end="")
    else:
        print(f"model card: {write_text(Path(file) if file else folder / 'report.md', text)}")


def _components(folder: Path, suffix: str) -> None:
    from harness.report.exports import write_components  # noqa: PLC0415 - pandas loads here

    for written in write_components(folder, suffix):
        print(f"components: {written}")
