"""What goes to the terminal: text of other people's files, without its power over the terminal."""

import re
import sys

# Control characters but line ends, marks that turn the direction of text, halves of surrogates.
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""The text with what could steer or break a terminal written as escapes, such as `\x1b`."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape_what_cannot_be_encoded() -> None:
    r"""Let stdout write `\xe9` where its encoding, such as ASCII, lacks a letter."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a stream that captures has none
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
