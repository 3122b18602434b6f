"""Numbers as they are typed: for the options of a run and of the commands alike."""

from collections.abc import Callable


def count(least: int) -> Callable[[str], int]:
    """A parser of whole numbers of at least `least`.

    It raises ValueError, with what was typed and what was expected.
    """

    def parse(text: str) -> int:
        number = int(text) if text.removeprefix("-").isdecimal() else least - 1
        if number < least:
            raise ValueError(f"{text!r}: expected a whole number of at least {least}")
        return number

    return parse


def share(text: str) -> float:
    """A number between 0 and 1.

    Raises:
        ValueError: If it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r}: expected a share between 0 and 1")
    return number
