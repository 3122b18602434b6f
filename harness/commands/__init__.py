"""The subcommands of `python -m harness`, one in each module.

A module has `add(subparsers)`, which registers the subcommand and, with `set_defaults(run=...)`,
the function that runs it. That function takes the parsed arguments and returns the exit status: 0
if all is well, 1 if it reports problems. 2 is for a command that cannot be run.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from harness.commands import (
    calibrate,
    compare,
    doctor,
    fleet,
    hypotheses,
    models,
    new,
    prompts,
    report,
)
from harness.foreign import ForeignError, printable

COMMANDS = (prompts, models, hypotheses, new, doctor, report, compare, fleet, calibrate)


EPILOG = """\
examples:
  python -m harness doctor --model qwen            would it run here?
  python -m harness prompts check mine.jsonl       what is in a file of prompts, and what is wrong
  python -m harness new claim mine_reasoning       a claim of your own to start from
  python -m harness compare release-1 release-2    what changed between two runs"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; for bad input, one sentence on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m harness",
        description="Look at what the hypotheses run on and what came of it. The hypotheses "
        "themselves are run by `pytest hypotheses/`.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subparsers)
    options = parser.parse_args(arguments)
    _escape_what_cannot_be_encoded()
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ForeignError as error:
        print(f"{parser.prog}: {printable(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno == errno.ENOSPC:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
            why = "the output cannot be written: the disk is full."
        elif error.filename is not None:
            why = f"{error.filename}: {error.strerror}; give a path that can be read and written."
        else:
            raise
        print(f"{parser.prog}: {printable(why)}", file=sys.stderr)
        return 2
    return status


def _escape_what_cannot_be_encoded() -> None:
    r"""Let stdout write `\xe9` where its encoding, such as ASCII, lacks a letter."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a stream that captures has none
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
