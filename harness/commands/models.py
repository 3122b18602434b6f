"""`python -m harness models`: the names for --model, and which models are on this machine."""

import argparse

from harness.models import sizes, specs
from harness.models.architecture import architecture_of
from harness.models.hub import local_folder
from harness.models.sizes import Size
from harness.models.specs import ModelError

HELP = """\
Lists the aliases of harness/models/models.toml: the embedded models, and short names of hub models.
What is on this machine is shown with its size; nothing is downloaded. A hub id (org/name) or a
folder that save_pretrained wrote works without an alias, and a hub model with @revision."""
EPILOG = """\
examples:
  python -m harness models
  pytest hypotheses/ --model mini-qwen --model ./my-release
  pytest hypotheses/ --model Qwen/Qwen2.5-7B-Instruct@main
  python -m harness doctor --model qwen            would it fit here?"""


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `models`."""
    parser = subparsers.add_parser(
        "models",
        help="list the models that have a short name, and which of them are here",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace) -> int:
    """Print the table; 0."""
    for kind, table in specs.aliases().items():
        print(kind)
        for alias, path in table.items():
            print(f"  {alias:<16}{path:<40}{_described(alias)}")
    return 0


def _described(alias: str) -> str:
    try:
        spec = specs.resolve(alias)
        if local_folder(spec) is None:
            return "not downloaded"
        stated, size = architecture_of(spec), sizes.size_of(spec)
    except ModelError as error:
        return str(error)
    shape = f"{stated.layers} layers x {stated.heads} heads, {stated.neurons:,} neurons"
    disk = "weights are written when it is loaded" if spec.recipe else _disk(size)
    return f"{stated.name}, {parameter_text(size)}, {shape}, {disk}"


def parameter_text(size: Size) -> str:
    """`7.6 B parameters`, `1.4 M parameters`."""
    number = size.parameters
    short = f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.1f} M"
    return f"{'' if size.exact else 'about '}{short} parameters"


def _disk(size: Size) -> str:
    return "weights not downloaded" if size.on_disk is None else f"{in_bytes(size.on_disk)} here"


def in_bytes(number: float) -> str:
    """`5.5 MB`, `15.2 GB`; powers of a thousand."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while number >= 1000 and power < len(units) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.{0 if power == 0 or number >= 100 else 1}f} {units[power]}"
