"""What a number says in words: the same in a verdict's notes and in the report."""

NEGLIGIBLE = 0.01  # nats


def moved_in_words(low: float, high: float) -> str:
    """What the interval of a change of the logit difference, nats, says of a task.

    One that ends within `NEGLIGIBLE` of 0 says nothing: rounding alone moves a logit by 1e-5.
    """
    return "helps" if low > NEGLIGIBLE else "hurts" if high < -NEGLIGIBLE else "does not move"
