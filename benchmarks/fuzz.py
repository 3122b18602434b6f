"""Thousands of spoiled files for every reader: each must be read, or refused in our own words.

    python -m benchmarks.fuzz --inputs 12000 --seed 1 --output benchmarks/results/fuzz.json

Prints, for each kind of file, how many were tried, refused properly, accepted, and failed: any
other exception, or a wrong value out of the cache. The exit status is 1 if any failed. Tiny models
are loaded too, fewer of them, since that takes a second each.
"""

import argparse
import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from harness.adapter import Model
from harness.models.specs import LoadOptions, ModelError, resolve
from tests.support import tiny_models
from tests.support.foreign_files import READERS, Reader, Trial

COUNTED = ("tried", "refused", "accepted", "failed")


def _load(folder: Path) -> object:
    model = Model.load(resolve(str(folder)), LoadOptions(device="cpu", chat_template=False))
    return model.extract(tiny_models.ITEMS[:1])


def _loaded(name: str) -> Reader:
    return Reader(name, tiny_models.save, _load, ModelError)


def readers() -> dict[str, Reader]:
    """Every reader, and whole models with one file spoiled."""
    files = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    return READERS | {f"loaded {name}": _loaded(name) for name in files}


def tried(reader: Reader, count: int, rng: random.Random) -> tuple[Counter[str], list[str]]:
    """What became of so many spoiled files, and the tracebacks of those that failed."""
    counts, failures = Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(reader, Path(folder) / "files")
        for _ in range(count):
            counts["tried"] += 1
            number = rng.getrandbits(64)
            try:
                refusal = trial.spoil(random.Random(number))
            except Exception:
                counts["failed"] += 1
                failures.append(f"input {number}\n{traceback.format_exc()}")
            else:
                counts["accepted" if refusal is None else "refused"] += 1
    return counts, failures


def main() -> int:
    """Try them all; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=12_000)
    parser.add_argument("--loaded", type=int, default=200, help="whole models, for each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a kind of file")
    parser.add_argument("--output", type=Path, help="write the counts as JSON")
    options = parser.parse_args()
    rng, result, failed, total = random.Random(options.seed), {}, [], dict.fromkeys(COUNTED, 0)
    chosen = {n: r for n, r in readers().items() if options.only in (None, n)}
    plain = [name for name in chosen if not name.startswith("loaded")]
    print(f"{'file':<32}" + "".join(f"{name:>10}" for name in COUNTED))
    for name, reader in chosen.items():
        whole = name.startswith("loaded")
        share = options.loaded if whole else options.inputs // max(len(plain), 1) + 1
        counts, failures = tried(reader, share, random.Random(rng.getrandbits(64)))
        result[name] = {column: counts[column] for column in COUNTED}
        failed += [f"{name}: {text}" for text in failures]
        print(f"{name:<32}" + "".join(f"{counts[c]:>10}" for c in COUNTED), flush=True)
        total = {column: sum(row[column] for row in result.values()) for column in COUNTED}
        if options.output:
            record = {"seed": options.seed, "files": result, "all": total}
            options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{'all':<32}" + "".join(f"{total[c]:>10}" for c in COUNTED))
    print("\n".join(failed[:20]), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
