"""Records of schema version 1, as the present version writes them.

Version 1 had no gates and no evidence keys. Its keys are told from the names that evidence had at
the time: names of written files, which never change.
"""

import re
from collections.abc import Mapping
from typing import Any

STEERED = re.compile(r"(?P<toward>.+) minus (?P<away>.+), change of logit difference")
KEYS = (
    (
        re.compile(
            r"(layers|heads|neurons) that hold on held-out facts|specialised (layers|heads|neurons)"
        ),
        "count",
    ),
    (re.compile(r"strongest effect on discovery, layer .*"), "largest"),
    (re.compile(r"held-out separation"), "separation"),
    (re.compile(r"(?P<domain>\S+) along the direction of .+"), "transfer.{domain}"),
)


def upgraded(record: Any) -> Any:
    """The record in the present version; what is none is left for the schema to name."""
    if not isinstance(record, dict) or record.get("schema_version") != 1:
        return record
    return {
        **record,
        "schema_version": 2,
        "evidence": _evidence(record.get("evidence")),
        "gates": [],
        "components": _with(record.get("components"), counts={}, strongest=[]),
        "plan": _plan(record.get("plan")),
        "baseline": _with(record.get("baseline"), **BASELINE),
    }


BASELINE: dict[str, Any] = {
    "name": "",
    "run_id": None,
    "model": None,
    "change": "not compared",
    "effects": [],
    "method": "",
    "differences": [],
}


def _with(record: Any, **missing: Any) -> Any:
    """The object with what it lacks."""
    return {**missing, **record} if isinstance(record, dict) else record


def _plan(plan: Any) -> Any:
    """A docstring could be null."""
    found = _with(plan, hash="", constants={}, description="")
    if isinstance(found, dict) and found["description"] is None:
        found["description"] = ""
    return found


def _evidence(evidence: Any) -> Any:
    if not isinstance(evidence, list) or not all(isinstance(e, dict) for e in evidence):
        return evidence
    named = _keys_by_name([str(e.get("name")) for e in evidence])
    return [_one(e, named.pop(str(e.get("name")), "")) for e in evidence]


def _one(evidence: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A piece of evidence with its key; what did not decide was called shown."""
    relation = evidence.get("relation")
    return {**evidence, "relation": "secondary" if relation == "shown" else relation, "key": key}


def _key(name: str) -> str:
    for pattern, key in KEYS:
        if found := pattern.fullmatch(name):
            return key.format(**found.groupdict())
    return ""


def _keys_by_name(names: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        if steered := STEERED.fullmatch(name):
            found[name] = f"steering.contrast.{steered['toward']}.{steered['away']}"
            found[f"{steered['toward']}, change of logit difference"] = (
                f"steering.toward.{steered['toward']}"
            )
            found[f"{steered['away']}, change of logit difference"] = (
                f"steering.away.{steered['away']}"
            )
            continue
        key = _key(name)
        if key and key not in found.values():
            found[name] = key
    return found
