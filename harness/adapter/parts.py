"""Weights in parts, one in each process, and the products that the processes make together.

The first process leads: it gives an order, with the values where there are any, and every process
does its part of it. The others wait for the next order (`serve`) and know nothing else of the run.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from harness.models.specs import ModelError

# Between two orders the first process may compute for hours without the others.
PATIENCE = timedelta(days=30)
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
WORDS = 6  # whole numbers of an order: which, on which weight, and up to four more


class Order(IntEnum):
    """What the first process asks of all."""

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


@dataclass
class Processes:
    """What this process knows of the others.

    Attributes:
        parts: Its part of each weight, by the weight's number.
        unwanted: In the first process, weights that the others still have to drop.
        lost: Why the processes are out of step; '' if they are not.
    """

    parts: dict[int, Part]
    unwanted: list[int]
    lost: str = ""


ours = Processes({}, [])


def join() -> None:
    """Join the processes that torchrun started; waits until all have joined."""
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)


def leave() -> None:
    """End the others, if they are still in step, and part from them."""
    if dist.get_rank() == 0 and not ours.lost:
        with suppress(RuntimeError):  # one that has ended by itself
            _send(Order.STOP)
    ours.parts.clear()
    dist.destroy_process_group()


def device() -> torch.device:
    """Where this process has its parts."""
    on_gpu = torch.cuda.is_available()
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


def serve() -> None:
    """Do this process's part of every order, until the first process says stop or has ended."""
    while True:
        try:
            order, number, *more = _send()
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
            _send(Order.DROP, ours.unwanted.pop())
        _send(order, *words)
        yield
    except Exception as error:
        ours.lost = " ".join(str(error).split())[:200]
        raise
    ours.lost = ""


def _send(*words: int) -> list[int]:
    """An order from the first process to all; every process has it afterwards."""
    order = torch.tensor([*words, *[0] * (WORDS - len(words))])
    dist.broadcast(order, src=0)
    received: list[int] = order.tolist()
    return received


def _hold(number: int, words: Sequence[int], weight: Tensor | None = None) -> None:
    axis, *shape, dtype = words
    shape[axis] = -(-shape[axis] // dist.get_world_size())
    part = torch.empty(shape, dtype=DTYPES[dtype], device=device())
    pieces = None if weight is None else _pieces(weight.to(part.device), axis)
    dist.scatter(part, pieces, src=0)
    ours.parts[number] = Part(part, axis)


def _multiply(number: int, words: Sequence[int], values: Tensor | None = None) -> Tensor | None:
    """What the processes make of the first one's values together; None but in the first."""
    (transposed, count, *_), part = words, ours.parts[number]
    part = part.transposed if transposed else part
    if part.axis == 0:
        given = part.values.new_empty(count, part.values.shape[1]) if values is None else values
        given = given.contiguous()
        dist.broadcast(given, src=0)
        return _joined(given @ part.values.T, axis=1)
    share = part.values.new_empty(count, part.values.shape[1])
    dist.scatter(share, None if values is None else _pieces(values, 1), src=0)
    made = share @ part.values.T
    dist.reduce(made, dst=0)
    return made if dist.get_rank() == 0 else None


def _gather(number: int) -> Tensor | None:
    part = ours.parts[number]
    return _joined(part.values, part.axis)


def _pieces(values: Float[Tensor, "a b"], axis: int) -> list[Tensor]:
    """One piece for each process, all of one size: where that needs it, zeros are added."""
    count = dist.get_world_size()
    missing = -values.shape[axis] % count
    if missing:
        values = torch.nn.functional.pad(values, (0, missing) if axis else (0, 0, 0, missing))
    return [piece.contiguous() for piece in values.chunk(count, axis)]


def _joined(piece: Tensor, axis: int) -> Tensor | None:
    """The pieces of all processes side by side, in the first; None in the others."""
    piece = piece.contiguous()
    first = dist.get_rank() == 0
    pieces = [torch.empty_like(piece) for _ in range(dist.get_world_size())] if first else None
    dist.gather(piece, pieces, dst=0)
    return torch.cat(pieces, axis) if pieces else None
