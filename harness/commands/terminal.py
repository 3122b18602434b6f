"""Standard output that never ends in an error of encoding."""

import sys


def escape_what_cannot_be_encoded() -> None:
    r"""Let stdout write `\xe9` where its encoding, such as ASCII, lacks a letter."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a stream that captures has none
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
