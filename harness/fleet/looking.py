"""What is known of a model without running it: whether it can be had, its identity, its needs.

Called where tasks run: large files are hashed beside them, on as many machines as there are.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from harness.models import hub, sizes, specs
from harness.models.architecture import architecture_of
from harness.models.identity import identity_of
from harness.models.sizes import BYTES
from harness.models.specs import LoadOptions, ModelError

ROOM = 1.3  # times the weights: activations and what the libraries take


@dataclass(frozen=True, slots=True)
class Looked:
    """A model before its first run.

    Attributes:
        model: As `--model` is given it: a hub model at one commit.
        identity: SHA-256 over all that its numbers depend on; equal ones are measured once.
        memory: Bytes that a run needs on its device: the weights, and a twin's beside them.
        fault: Why it cannot be run, in a sentence; the rest is empty then.
    """

    model: str
    identity: str = ""
    memory: int = 0
    fault: str = ""


def look(model: str, dtype: str, twins: int, chat: bool, store: Path) -> Looked:
    """Resolve, hash and size a model; a fault is a value, since it costs this model alone."""
    try:
        spec = hub.pinned(specs.resolve(model))
        stated = architecture_of(spec)
        load = LoadOptions(dtype=dtype, chat_template=chat)
        identity = json.dumps(identity_of(spec, load, store), sort_keys=True)
        weights = sizes.size_of(spec).needs(_bytes_as(stated.dtype if dtype == "auto" else dtype))
    except ModelError as error:
        return Looked(model, fault=str(error))
    named = f"{spec.path}@{spec.fixed}" if spec.fixed and not spec.is_local else model
    memory = int(weights * (2 if twins else 1) * ROOM)
    return Looked(named, hashlib.sha256(identity.encode()).hexdigest(), memory)


def _bytes_as(dtype: str) -> str:
    return dtype if dtype in BYTES else "float32"
