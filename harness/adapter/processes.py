"""The processes that torchrun started: one leads, the others wait for what it sends."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

# Between two messages the first process may compute for hours without the others.
PATIENCE = timedelta(days=30)
WORDS = 6  # whole numbers of a message


def join() -> None:
    """Join the processes that torchrun started; waits until all have joined."""
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)


def leads() -> bool:
    """Whether this is the first process."""
    return dist.get_rank() == 0


def device() -> torch.device:
    """Where this process has its tensors."""
    on_gpu = torch.cuda.is_available()
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


def send(*words: int) -> list[int]:
    """A message from the first process to all: what it gives, and zeros up to `WORDS` numbers.

    The others give nothing, and wait. Every process has the message afterwards.
    """
    message = torch.tensor([*words, *[0] * (WORDS - len(words))])
    dist.broadcast(message, src=0)
    received: list[int] = message.tolist()
    return received


def spread(piece: Float[Tensor, "a b"], whole: Float[Tensor, "c d"] | None, axis: int) -> None:
    """Fill each process's piece with its own of the first one's tensor.

    Args:
        piece: As large in every process; zeros fill what is missing of the last ones.
        whole: In the first process, the tensor; None in the others.
        axis: Along which it is cut.
    """
    pieces = None if whole is None else _pieces(whole, axis)
    dist.scatter(piece, pieces, src=0)


def shared(values: Float[Tensor, "a b"]) -> Float[Tensor, "a b"]:
    """The first process's values; the others' tensor, of the same shape, is filled with them."""
    values = values.contiguous()
    dist.broadcast(values, src=0)
    return values


def joined(piece: Float[Tensor, "a b"], axis: int) -> Float[Tensor, "c d"] | None:
    """The pieces of all processes side by side, in the first; None in the others."""
    piece = piece.contiguous()
    pieces = [torch.empty_like(piece) for _ in range(dist.get_world_size())] if leads() else None
    dist.gather(piece, pieces, dst=0)
    return torch.cat(pieces, axis) if pieces else None


def summed(share: Float[Tensor, "a b"]) -> Float[Tensor, "a b"] | None:
    """The sum over all processes, in the first; None in the others."""
    dist.reduce(share, dst=0)
    return share if leads() else None


def _pieces(values: Float[Tensor, "a b"], axis: int) -> list[Tensor]:
    """One piece for each process, all of one size: where that needs it, zeros are added."""
    count = dist.get_world_size()
    missing = -values.shape[axis] % count
    if missing:
        values = torch.nn.functional.pad(values, (0, missing) if axis else (0, 0, 0, missing))
    return [piece.contiguous() for piece in values.chunk(count, axis)]
