"""Addresses: the name of a measurement, from everything that it depends on."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FORMAT = 1  # of the files; part of every address


def address_of(key: Mapping[str, Any]) -> str:
    """32 hex digits that change with any field of `key`.

    Raises:
        TypeError: If a value is not plain JSON.
    """
    return hashlib.sha256(_canonical(key).encode()).hexdigest()[:32]


def _canonical(key: Mapping[str, Any]) -> str:
    for name, value in key.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"cache key field {name!r} is {value!r}: expected plain JSON ({error})"
            ) from None
    return json.dumps(dict(key), sort_keys=True, separators=(",", ":"))


def full_key_of(key: Mapping[str, Any], **more: int) -> dict[str, Any]:
    """The key with the format of the files and what else the address depends on."""
    _canonical(key)  # so that an error names the caller's field
    return {"key": dict(key), "format": FORMAT, **more}
