"""Arrays of all prompts, filled shard by shard."""

from collections.abc import Callable, Mapping

import numpy as np


class Filling:
    """Arrays of all prompts; allocated with the first shard, which gives their shapes."""

    def __init__(
        self, count: int, allocate: Callable[[tuple[int, ...], np.dtype], np.ndarray]
    ) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._count = count
        self._allocate = allocate

    def put(self, where: slice, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy a shard to its place.

        Raises:
            ValueError: If its arrays do not fit.
        """
        length = where.stop - where.start
        for name, array in arrays.items():
            if array.shape[:1] != (length,):
                raise ValueError(
                    f"array {name!r} of prompts {where.start} to {where.stop - 1} has shape "
                    f"{array.shape}: expected {length} along its first axis"
                )
        if not self.arrays:
            self.arrays = {
                name: self._allocate((self._count, *array.shape[1:]), array.dtype)
                for name, array in arrays.items()
            }
        known = {name: (array.shape[1:], array.dtype) for name, array in self.arrays.items()}
        given = {name: (array.shape[1:], array.dtype) for name, array in arrays.items()}
        if known != given:
            raise ValueError(
                f"arrays of prompts {where.start} to {where.stop - 1} are {given}: expected "
                f"{known} as in the other shards"
            )
        for name, array in arrays.items():
            self.arrays[name][where] = array
