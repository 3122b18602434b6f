"""Weights in parts, one in each process, and the products that the processes make together.

The first process leads: it gives an order, with the values where there are any, and every process
does its part of it. The others wait for the next order (`serve`) and know nothing else of the run.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from harness.adapter import processes
from harness.models.specs import ModelError

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class Order(IntEnum):
    """What the first process asks of all: on which weight, and up to four numbers more."""

    STOP = 0
    HOLD = 1  # a part of a new weight: axis, rows, columns, dtype
    DROP = 2
    MULTIPLY = 3  # by the weight, or by its transpose: transposed, number of values
    GATHER = 4  # the whole weight


@dataclass(frozen=True, slots=True)
class Part:
    """One process's part of a weight [out, in].

    Attributes:
        values: As many rows, or columns, in every process; zeros fill what is missing at the end.
        axis: 0 if each process has some rows, and so makes some outputs; 1 if it has some columns,
            and so makes a share of every output.
    """

    values: Float[Tensor, "out in"]
    axis: int

    @property
    def transposed(self) -> "Part":
        """For the gradient: the same part of the transposed weight."""
        return Part(self.values.T, 1 - self.axis)

    @property
    def whole_shape(self) -> tuple[int, int]:
        """That of the weight, with the zeros."""
        rows, columns = self.values.shape
        count = dist.get_world_size()
        return (rows * count, columns) if self.axis == 0 else (rows, columns * count)


@dataclass
class State:
    """What this process knows of the others.

    Attributes:
        parts: Its part of each weight, by the weight's number.
        unwanted: In the first process, weights that the others still have to drop.
        lost: Why the processes are out of step; '' if they are not.
    """

    parts: dict[int, Part]
    unwanted: list[int]
    lost: str = ""


ours = State({}, [])


def serve() -> None:
    """Do this process's part of every order, until the first process says stop or has ended."""
    while True:
        try:
            order, number, *more = processes.send()
        except RuntimeError:
            return
        match order:
            case Order.STOP:
                return
            case Order.HOLD:
                _hold(number, more)
            case Order.DROP:
                del ours.parts[number]
            case Order.MULTIPLY:
                _multiply(number, more)
            case Order.GATHER:
                _gather(number)


def leave() -> None:
    """Let the others end, if they are still in step, and part from them."""
    if processes.leads() and not ours.lost:
        with suppress(RuntimeError):  # one has ended by itself
            processes.send(Order.STOP)
    ours.parts.clear()
    dist.destroy_process_group()


def hold(weight: Float[Tensor, "out in"], axis: int) -> int:
    """Divide a weight over all processes along an axis; its number, for the functions below."""
    number = max(ours.parts, default=-1) + 1
    words = [axis, *weight.shape, DTYPES.index(weight.dtype)]
    with _together(Order.HOLD, number, *words):
        _hold(number, words, weight)
    return number


def drop(number: int) -> None:
    """Forget this process's part of a weight, and let the others do so before the next order.

    May be called at any moment, also while an order on another weight is carried out.
    """
    ours.parts.pop(number, None)
    ours.unwanted.append(number)


def multiply(
    number: int, values: Float[Tensor, "*axes given"], *, transposed: bool = False
) -> Float[Tensor, "*axes made"]:
    """Values times the transposed weight, as `nn.Linear` does without its bias.

    Args:
        number: The weight [made, given].
        values: In the weight's dtype.
        transposed: Multiply by the weight itself, [given, made], as the gradient does.
    """
    flat = values.reshape(-1, values.shape[-1])
    words = [int(transposed), len(flat)]
    # What the order will need, so that memory runs out here, where a batch can still be halved.
    flat.new_empty(len(flat), 3 * sum(ours.parts[number].whole_shape))
    with _together(Order.MULTIPLY, number, *words):
        made = _multiply(number, words, flat)
    assert made is not None
    return made.reshape(*values.shape[:-1], -1)


def gather(number: int) -> Float[Tensor, "out in"]:
    """The whole weight, filled up with zeros, on the first process's device."""
    with _together(Order.GATHER, number):
        whole = _gather(number)
    assert whole is not None
    return whole


@contextmanager
def _together(order: Order, *words: int) -> Iterator[None]:
    """Carry out an order with the others; whatever goes wrong meanwhile leaves them out of step."""
    if ours.lost:
        raise ModelError(
            f"the processes of --tensor-parallel are out of step ({ours.lost}): start the run "
            "again; if memory ran out, with a smaller --batch-size."
        )
    ours.lost = "the last order was not carried out"
    try:
        while ours.unwanted:
            processes.send(Order.DROP, ours.unwanted.pop())
        processes.send(order, *words)
        yield
    except Exception as error:
        ours.lost = " ".join(str(error).split())[:200]
        raise
    ours.lost = ""


def _hold(number: int, words: Sequence[int], weight: Tensor | None = None) -> None:
    axis, *shape, dtype = words
    shape[axis] = math.ceil(shape[axis] / dist.get_world_size())
    part = torch.empty(shape, dtype=DTYPES[dtype], device=processes.device())
    processes.spread(part, None if weight is None else weight.to(part.device), axis)
    ours.parts[number] = Part(part, axis)


def _multiply(number: int, words: Sequence[int], values: Tensor | None = None) -> Tensor | None:
    """What the processes make of the first one's values together; None but in the first."""
    (transposed, count, *_), part = words, ours.parts[number]
    part = part.transposed if transposed else part
    if part.axis == 0:
        given = part.values.new_empty(count, part.values.shape[1]) if values is None else values
        given = processes.shared(given)
        return processes.joined(given @ part.values.T, axis=1)
    share = part.values.new_empty(count, part.values.shape[1])
    processes.spread(share, values, axis=1)
    return processes.summed(share @ part.values.T)


def _gather(number: int) -> Tensor | None:
    part = ours.parts[number]
    return processes.joined(part.values, part.axis)
