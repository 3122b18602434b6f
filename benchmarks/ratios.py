"""The ratios of a run of the benchmarks as a table of docs/results.md.

    OMP_NUM_THREADS=1 pytest benchmarks/ --benchmark-json=x.json
    python -m benchmarks.ratios x.json

Writes results/benchmarks.json, which is what is kept of the runs, and the table from it. Files of
several runs, such as one for each file of benchmarks, make one table; a group that none of them has
stays as it was.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import put_between, table
from harness.verdicts import typeset

RESULTS = Path(__file__).with_name("results") / "benchmarks.json"
START = "<!-- benchmarks: made from benchmarks/results/benchmarks.json -->"


def kept(runs: Sequence[dict]) -> dict:
    """What is published of files that pytest-benchmark wrote on one machine; the last date."""
    last = max(runs, key=lambda run: run["datetime"])
    machine = last["machine_info"]
    return {
        "when": last["datetime"],
        "machine": {
            "cpu": machine["cpu"].get("brand_raw", machine["machine"]),
            "cores": machine["cpu"].get("count"),
            "python": machine["python_version"],
        },
        "benchmarks": [
            {
                "group": each["group"] or "",
                "name": each["name"],
                "median": each["stats"]["median"],
                "rounds": each["stats"]["rounds"],
                "extra_info": each["extra_info"],
            }
            for run in runs
            for each in run["benchmarks"]
        ],
    }


def with_other_groups(record: dict, before: dict) -> dict:
    """The record, and the groups that it lacks as they were before."""
    groups = {each["group"] for each in record["benchmarks"]}
    others = [each for each in before["benchmarks"] if each["group"] not in groups]
    return {**record, "benchmarks": [*others, *record["benchmarks"]]}


def rendered(record: dict) -> str:
    """The table: a benchmark a row, in the order of the groups."""
    machine = record["machine"]
    rows = [
        (each["group"], f"`{each['name']}`", typeset.number(each["median"]), _ratios(each))
        for each in sorted(record["benchmarks"], key=lambda each: each["group"])
    ]
    about = (
        f"CPU seconds of one thread, medians; ratios are medians over rounds in turn with the peer "
        f"named. {machine['cores']} cores ({machine['cpu']}), Python {machine['python']}."
    )
    return f"{about}\n\n{table(('group', 'benchmark', 'seconds', 'ratios'), rows)}"


def _ratios(each: dict) -> str:
    named = (
        f"{name.replace('_', ' ')} {typeset.number(value)}"
        for name, value in each["extra_info"].items()
    )
    return "; ".join(named) or "–"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*", help="files of --benchmark-json")
    paths = parser.parse_args().runs
    if paths:
        record = kept([json.loads(path.read_text(encoding="utf-8")) for path in paths])
        if RESULTS.exists():
            record = with_other_groups(record, json.loads(RESULTS.read_text(encoding="utf-8")))
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    put_between(START, rendered(json.loads(RESULTS.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
