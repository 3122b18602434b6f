"""`python -m harness fleet`: many models, checkpoints and releases, and one report."""

import argparse
import signal
import sys
from pathlib import Path

from harness.compare.past import BaselineError
from harness.files import write_text
from harness.fleet.entries import FleetError, read_fleet
from harness.study.plan import whole_number

HELP = """\
Runs the hypotheses on every model of a file, on this machine or a cluster, with Ray (pip install
-e '.[fleet]'), and writes one report. Each model is first asked what it can answer, then its claims
are run, each time by an ordinary `pytest hypotheses/` in a folder of its own. Runs share what they
measure; models with the same weights are measured once. What is whole is not run again: after a
kill of anything, the same command goes on from there. A wrong entry costs that entry alone.

FILE is TOML:

  options = "-k controlled --items 100"        as for pytest; all of it is optional but entries
  store = "measurements"                       shared by all; the user's cache if left out; or a
                                               URL, "s3://bucket/store", for machines without NFS

  [[entry]]
  model = "EleutherAI/pythia-70m@step{step}"   or a folder, "checkpoints/step-{step}"
  steps = "1000..143000 log 10"                or "all", or a list

  [[entry]]
  models = ["./release-1", "./release-2"]      releases, oldest first

  [[entry]]
  model = "qwen"                               one model

Paths are taken from the folder of FILE. Exit status: 0 every entry has verdicts, 1 some have not,
2 the fleet cannot be run."""
EPILOG = """\
examples:
  python -m harness fleet checkpoints.toml                  on this machine
  python -m harness fleet checkpoints.toml --bisect 3       halve gaps where outcomes flip
  python -m harness fleet checkpoints.toml --address auto   on a cluster, from one of its nodes"""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `fleet`."""
    parser = subparsers.add_parser(
        "fleet",
        help="run the hypotheses on many models, checkpoints or releases",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE.toml", type=Path, help="which models, which options")
    parser.add_argument("--address", help="of a Ray cluster; `auto` is the one of this node")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="where tasks and the report lie, seen by all machines (default: reports/NAME-OF-FILE)",
    )
    parser.add_argument(
        "--cpus", metavar="N", type=_count, help="processors to use here (default: all)"
    )
    parser.add_argument(
        "--bisect",
        metavar="N",
        type=_count,
        default=0,
        help="halve each gap between two steps where a verdict flips so many times",
    )
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    try:
        return whole_number(1)(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Run what is missing, write the report; the exit status."""
    fleet = read_fleet(options.file)
    out = (options.out or Path("reports") / options.file.stem).absolute()
    try:
        write_text(out / "fleet.toml", options.file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(f"{out} cannot be written: {error.strerror}.") from None
    if not any(entry.points for entry in fleet.entries):
        faults = "; ".join(f"{entry.name}: {entry.fault}" for entry in fleet.entries)
        raise FleetError(f"{options.file} has no entry that can be run: {faults}")
    from harness.fleet.cluster import Cluster  # noqa: PLC0415
    from harness.fleet.running import FleetRun  # noqa: PLC0415
    from harness.fleet.sharing import Shared  # noqa: PLC0415
    from harness.fleet.table import Table  # noqa: PLC0415

    if fleet.url:
        Shared(fleet.url).check()
    cluster = Cluster(options.address, options.cpus)
    # A batch system ends a job with SIGTERM; Ray, which has just started, would end us at once.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    there = cluster.machines()
    slots = sum(m.gpus for m in there) or sum(m.cpus for m in there)
    fleet_run = FleetRun(
        fleet,
        out,
        cluster,
        Table(sys.stdout, slots, live=sys.stdout.isatty()),
        bisect=options.bisect,
    )
    stopped = False
    try:
        fleet_run.run()
    except KeyboardInterrupt:
        stopped = True
    finally:
        cluster.close()
        signal.signal(signal.SIGTERM, before)
    return _finish(fleet_run, out, stopped=stopped)


def _finish(fleet_run: "FleetRun", out: Path, *, stopped: bool) -> int:  # type: ignore[name-defined]  # noqa: F821
    from harness.fleet.together import put_together  # noqa: PLC0415

    record, verdicts = fleet_run.record(), fleet_run.verdicts()
    for note in record.notes:
        print(note)
    if verdicts:
        print(f"report: {put_together(verdicts, fleet_run.folders(), record, out)}")
    if stopped:
        print("stopped: the same command goes on from here")
    failed = fleet_run.faults or any(row.fault for row in fleet_run.rows)
    return 1 if stopped or failed or not verdicts else 0
