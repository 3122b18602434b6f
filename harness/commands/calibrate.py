"""`python -m harness calibrate`: the error rates and the power of the suite."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.calibration.settings import CALIBRATION_PARTS, ORGANISMS, CalibrationSettings
from harness.files import DATA, IN_CHECKOUT
from harness.models.specs import ModelError, resolve
from harness.study import reference_models
from harness.study.plan import whole_number

HELP = """\
Measures how often the suite finds something where there is nothing, and how often it finds what
is there.

processes    shuffled labels and same-process contrasts, where nothing is to be found: the rules of
             h1 to h8, on activations and effects of components measured once on each model
controls     the reference models, whose verdicts are known, judged over seeds
organisms    networks written by hand, whose verdicts were stated beforehand
power        a reference model with known circuits, with fewer and more facts
programs     small networks taught published programs with their circuits: how heads and MLPs rank
consistency  the same run twice must agree

Writes calibration.json (described by harness/calibration/calibration.schema.json) and a page beside
it. Each run takes one core. Finished runs are stored and not repeated, also after Ctrl-C: the same
command continues. It first says how long all of it will take: hours; --quick takes minutes.

Exit status: 0 all runs finished, 1 some failed or it was stopped, 2 the command cannot be run."""
EPILOG = """\
examples:
  python -m harness calibrate --quick
  python -m harness calibrate --part processes --processes mini-qwen
  python -m harness calibrate --part controls --seeds 5 --cores 2
  python -m harness calibrate --part organisms --organisms apart --claim h5 --organism-seeds 1
  python -m harness calibrate --controls
  python -m harness calibrate --page reports/calibration.json --publish"""
OUTPUT = Path("reports") / "calibration.json"
WORK = ".calibration"


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `calibrate`."""
    parser = subparsers.add_parser(
        "calibrate",
        help="measure the suite's own error rates and power",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_modes(parser)
    _add_files(parser)
    _add_selection(parser)
    _add_numbers(parser)
    parser.set_defaults(run=run)


def _add_modes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few runs with smaller numbers than the defaults, to try it out",
    )
    parser.add_argument(
        "--page", metavar="FILE", type=Path, help="only draw the page of a calibration.json again"
    )
    parser.add_argument(
        "--controls",
        action="store_true",
        help="only judge the reference models, and write their verdicts, which ship with the suite",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="also save the result in benchmarks/results, beside the parts that were not measured "
        "now, and its tables in docs/calibration.md and README.md",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=OUTPUT,
        help="file of the result; the page is written beside it (default: %(default)s)",
    )
    parser.add_argument(
        "--work",
        metavar="FOLDER",
        type=Path,
        default=Path(WORK),
        help="where finished runs are stored, so that none is repeated (default: %(default)s)",
    )
    parser.add_argument(
        "--cores",
        metavar="N",
        type=_typed(whole_number(1)),
        default=os.cpu_count() or 1,
        help="runs at a time (default: all cores, %(default)s)",
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    default = CalibrationSettings.usual()
    for name, usual, why in (
        ("references", default.controls, "judge this reference model, whose verdicts are known"),
        (
            *("processes", default.processes),
            "judge claims on shuffled labels and same-process contrasts of this model",
        ),
        ("power", default.power, "measure power on this model, whose circuits are known"),
        (
            *("organisms", default.organisms),
            "judge this network written by hand, whose verdicts are known",
        ),
        (
            *("programs", default.programs),
            "teach networks this program, and rank their heads and MLPs",
        ),
    ):
        shown = f"{why}; repeatable (default: {', '.join(usual) or 'none'})"
        parser.add_argument(f"--{name}", metavar="MODEL", action="append", help=shown)
    parser.add_argument(
        "--part", action="append", choices=CALIBRATION_PARTS, help="only these; repeatable"
    )
    parser.add_argument("--claim", metavar="ID", action="append", help="only these; repeatable")


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    default = CalibrationSettings.usual()
    for name, why in (
        ("--seeds", "draws of the materials for each reference model"),
        ("--organism-seeds", "draws for each organism, and for each point of a power curve"),
        ("--shuffles", "sets of shuffled labels on a model's activations"),
        (
            "--effect-shuffles",
            "sets of shuffled labels, and same-process contrasts, on effects of components",
        ),
        ("--process-seeds", "draws of 40 same-process contrasts on activations"),
        ("--program-seeds", "networks that are taught each program"),
        ("--items", "facts of each task in the parts processes and consistency"),
        ("--control-items", "facts of each task for reference models"),
        ("--organism-items", "facts of each task for organisms"),
        ("--permutations", "of each permutation test"),
        ("--resamples", "of each bootstrap"),
        ("--twins", "untrained twins of each run"),
    ):
        usual = getattr(default, name.removeprefix("--").replace("-", "_"))
        parser.add_argument(
            name,
            metavar="N",
            type=_typed(whole_number(1)),
            help=f"{why} (default: {usual})",
        )
    parser.add_argument(
        "--first-seed",
        metavar="N",
        type=_typed(whole_number(0)),
        help=f"the first seed of whatever is drawn (default: {default.first_seed})",
    )
    parser.add_argument(
        "--power-items",
        metavar="N",
        type=_typed(whole_number(1)),
        nargs="+",
        help="facts of each task on the power curve (default: "
        f"{', '.join(map(str, default.power_items))})",
    )


def _typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser for argparse, which shows the message of this kind of error only."""

    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _settings_of(options: argparse.Namespace) -> CalibrationSettings:
    """The default or quick settings, changed as the command line says."""
    usual = CalibrationSettings.usual()
    settings = usual.quick() if options.quick else usual
    selected = {
        "parts": options.part,
        "controls": options.references,
        "power": options.power,
        "processes": options.processes,
        "organisms": options.organisms,
        "programs": options.programs,
        "claims": options.claim,
        "power_items": options.power_items,
    }
    numbers = (
        *("seeds", "organism_seeds", "items", "control_items", "organism_items"),
        *("permutations", "resamples", "twins", "shuffles", "effect_shuffles"),
        *("process_seeds", "program_seeds", "first_seed"),
    )
    changes: dict[str, Any] = {name: tuple(value) for name, value in selected.items() if value}
    changes |= {name: value for name in numbers if (value := getattr(options, name))}
    return replace(settings, **changes)


def run(options: argparse.Namespace) -> int:
    """Calibrate, draw a page again, or judge the reference models; the exit status."""
    from harness.calibration.page import write_page  # noqa: PLC0415 - jinja2 loads here
    from harness.calibration.record import read_calibration  # noqa: PLC0415

    if options.page:
        record = read_calibration(options.page)
        print(f"page: {write_page(record, options.page.with_suffix('.html'))}")
        if options.publish:
            _publish(record)
        return 0
    if not IN_CHECKOUT:
        raise ModelError("calibrate runs in a checkout: clone the repository and call it there.")
    if options.controls:
        return _ship_references(options.cores)
    return _calibrate(_settings_of(options), options)


def _ship_references(cores: int) -> int:
    """Run the suite on its reference models alone, with the default plan; their verdicts ship."""
    from harness.calibration.running import OPTIONS_OF, run_environment  # noqa: PLC0415
    from harness.plugin.options import DEFAULT_MODELS  # noqa: PLC0415

    # A name may be part of a prediction's own: "moves_the_tasks_apart".
    names = " or ".join(model.name for model in reference_models.shipped())
    only = f"({names}) and not ({' or '.join(DEFAULT_MODELS)})"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "hypotheses/", "-q", "-k", only),
                *("--gate=none", "--cache=refresh", f"--cache-dir={folder}", f"-n{cores}"),
                f"--report={Path(folder) / 'report.html'}",
            ],
            cwd=DATA,
            env={k: v for k, v in run_environment().items() if not k.startswith(OPTIONS_OF)},
            check=False,
        )
        if done.returncode:
            return 1
        print(f"{reference_models.ship(Path(folder))} verdicts: {reference_models.SHIPPED}")
    return 0


def _publish(record: dict[str, Any]) -> None:
    """Into the published record, which keeps what was not measured again, and into the docs."""
    from harness.calibration import published  # noqa: PLC0415
    from harness.calibration.merging import with_earlier  # noqa: PLC0415
    from harness.calibration.record import read_calibration, write_calibration  # noqa: PLC0415

    if record["runs"] or record["processes"]:
        whole = record
        if published.RECORD.is_file():
            whole = with_earlier(record, read_calibration(published.RECORD))
        published.put_into(published.PAGE, whole)
        published.put_into_readme(whole)
        print(f"published: {write_calibration(published.RECORD, whole)}")
    if record.get("programs"):
        print(f"published: {published.publish_programs(record)}")


def _processes(settings: CalibrationSettings, work: Path) -> list[dict[str, Any]]:
    """Claims on processes, model by model; what was measured before is not measured again."""
    from harness.calibration.processes import Stage, measured_processes  # noqa: PLC0415

    if "processes" not in settings.parts:
        return []
    stage = Stage(
        settings.shuffles,
        settings.process_seeds,
        settings.effect_shuffles,
        settings.items,
        settings.first_seed,
    )
    found = []
    for model in settings.processes:
        print(f"processes of {model}: {settings.shuffles} shuffles of each kind", flush=True)
        found += measured_processes(model, stage, work)
    return found


def _programs(settings: CalibrationSettings, work: Path, cores: int) -> dict[str, Any] | None:
    """Networks taught a program with its circuit; those that are there are not taught again."""
    from harness.calibration.programs import measured_programs  # noqa: PLC0415

    if "programs" not in settings.parts:
        return None
    print(f"{len(settings.programs)} programs, {settings.program_seeds} networks of each and kind")
    seeds = range(settings.first_seed, settings.first_seed + settings.program_seeds)
    return measured_programs(settings.programs, seeds, work, cores)


def _calibrate(settings: CalibrationSettings, options: argparse.Namespace) -> int:
    from harness.calibration.expected_time import forecast  # noqa: PLC0415
    from harness.calibration.jobs import chains, jobs_of  # noqa: PLC0415
    from harness.calibration.page import write_page  # noqa: PLC0415
    from harness.calibration.record import calibration, write_calibration  # noqa: PLC0415
    from harness.calibration.running import Runner, Workshop  # noqa: PLC0415

    for name in {*settings.controls, *settings.power, *settings.processes} - {*ORGANISMS}:
        resolve(name)
    plan = chains(settings)
    runner = Runner(Workshop(options.work, settings), plan, options.cores)
    print(
        f"{forecast(settings, options.cores)}, less what is stored in {options.work}: "
        f"{len(jobs_of(plan))} runs, {', '.join(settings.parts)}",
        flush=True,
    )
    processes: list[dict[str, Any]] = []
    programs = None
    # A batch system ends a job with SIGTERM: stop the runs then too, as on Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        outcome = runner.run(sys.stderr if sys.stderr.isatty() else None)
        if not outcome.interrupted:
            processes = _processes(settings, options.work)
            programs = _programs(settings, options.work, options.cores)
    except KeyboardInterrupt:  # after the runs, which say it themselves
        outcome = replace(outcome, interrupted=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    for failed in outcome.failed:
        print(f"failed: {failed.job.name}: {failed.said}", file=sys.stderr)
    if not outcome.ran and not processes and not programs:
        print("no run finished: there is nothing to count", file=sys.stderr)
        return 1
    record = calibration(settings, outcome, processes, programs)
    written = write_calibration(options.output, record)
    print(f"{len(outcome.ran)} of {outcome.planned} runs: {written}")
    print(f"page: {write_page(record, written.with_suffix('.html'))}")
    if options.publish and outcome.whole:
        _publish(record)
    if outcome.interrupted:
        print("stopped: the same command continues from here")
    return 0 if outcome.whole else 1
