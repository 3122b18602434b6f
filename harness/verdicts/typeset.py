"""Numbers as a person reads them: the only place that decides on digits, signs and dashes."""

import math
import re

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
_Number = float | int | str | None

_SIGNED = re.compile(r"(^|[^a-z])(d|dz|g|cohens?|hedges|difference|contrast|gap|shift)([^a-z]|$)")


_MINUS = re.compile(r"(?<![^\s(\[/])-(?=\.?\d)")


def signed_quantity(name: str) -> bool:
    """Whether a quantity of this name is a difference, written with its sign: d = +1.23.

    |d| is none.
    """
    return "|" not in name and _SIGNED.search(name.lower()) is not None


def number(value: _Number, *, signed: bool = False) -> str:
    """A measured value: counts with thousands separators, the rest to about three figures."""
    if value is None:
        return "not defined"
    value = float(value)
    if math.isnan(value):
        return "not defined"
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    return sign + _magnitude(abs(value))


def _magnitude(size: float) -> str:
    if math.isinf(size):
        return "∞"
    if size == int(size) or size >= 1000:
        return f"{size:,.0f}"
    if size >= 100:
        return f"{size:.1f}"
    if 0.99 < size < 1 or 0.001 <= size < 0.1:
        return f"{size:.3f}"
    if size < 0.001:
        return scientific(size)
    return f"{size:.2f}"


def number_beside(value: _Number, threshold: _Number, *, signed: bool = False) -> str:
    """`number`, with the digits it takes to differ from a threshold that it does not equal."""
    text = number(value, signed=signed)
    if value is None or threshold is None:
        return text
    value, threshold = float(value), float(threshold)
    if not (math.isfinite(value) and math.isfinite(threshold)) or value == threshold:
        return text
    if text not in (number(threshold, signed=signed), bound(threshold)):
        return text
    apart = -math.floor(math.log10(abs(value - threshold)))
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):.{min(max(apart, 2), 12)}f}"


def scientific(value: float) -> str:
    """Powers of ten the short way: 3e-5, not 3e-05."""
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("e-", f"e{MINUS}")


def bound(value: _Number) -> str:
    """A threshold, as it was set: 0.5, 5, 0.01."""
    if value is None:
        return DASH
    value = float(value)
    if value.is_integer():
        return f"{value:,.0f}".replace("-", MINUS)
    text = scientific(value) if 0 < abs(value) < 0.001 else f"{value:.4g}"
    return text.replace("-", MINUS)


def interval_text(
    bounds: "tuple[_Number, _Number] | list[_Number] | None", *, signed: bool = False
) -> str:
    """[0.98, 1.51], or nothing where there is none."""
    if bounds is None:
        return ""
    low, high = bounds
    return f"[{number(low, signed=signed)}, {number(high, signed=signed)}]"


def p_value(p: _Number) -> str:
    """0.034, 0.0012, 3e-5."""
    if p is None:
        return DASH
    p = float(p)
    if math.isnan(p):
        return "not defined"
    if p == 0:
        return f"< 1e{MINUS}300"
    return f"{p:.2g}" if p >= 0.001 else scientific(p)


def count(value: int) -> str:
    """12,345."""
    return f"{value:,}"


def share_text(part: int, whole: int) -> str:
    """62 of 196 (32 %)."""
    percent = f" ({100 * part / whole:.0f} %)" if whole >= 20 else ""
    return f"{part:,} of {whole:,}{percent}"


def duration(seconds: float) -> str:
    """0.3 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural(quantity: int, noun: str) -> str:
    """1 claim, 3 claims."""
    return f"{quantity:,} {noun}" + ("" if quantity == 1 else "s")


def signs(sentence: str) -> str:
    """A record's sentence with ≥, ≤ and − for the typed >=, <= and the - before a number."""
    return _MINUS.sub(MINUS, sentence.replace(">=", "≥").replace("<=", "≤"))


def plain(sentence: str) -> str:
    """The sentence in ASCII signs, for terminals and programs."""
    for sign, typed in (("≥", ">="), ("≤", "<="), (MINUS, "-"), (DASH, "-"), ("∞", "inf")):
        sentence = sentence.replace(sign, typed)
    return sentence


def words(name: str) -> str:
    """A field's name as words: `gate_mean_abs` is mean |gate|."""
    return _WORDS.get(name, name.replace("_", " "))


def place(layer: int, kind: str = "layer", index: int | None = None) -> str:
    """`L2`; `L2 H3` for head 3 of it, `L2 N31` for neuron 31."""
    return f"L{layer}" if index is None else f"L{layer} {kind[0].upper()}{index}"


def stack(layer: int, encoder_layers: int, kind: str = "layer") -> str:
    """`encoder 3` or `decoder 0` for a layer of an encoder-decoder, else nothing.

    Heads of a decoder's layer are named as what they are: `decoder 0, cross-attention`.
    """
    if not encoder_layers:
        return ""
    if layer < encoder_layers:
        return f"encoder {layer}"
    name = f"decoder {layer - encoder_layers}"
    return f"{name}, cross-attention" if kind == "head" else name


_WORDS = {
    "resid_norm": "norm of the residual stream",
    "resid_mean": "mean of the residual stream",
    "gate_mean_abs": "mean |gate| of the MLP",
    "gate_sparsity": "sparsity of the MLP gate",
    "attention_entropy_per_log_length": "attention entropy / log length",
    "attention_gini": "Gini coefficient of attention",
}
