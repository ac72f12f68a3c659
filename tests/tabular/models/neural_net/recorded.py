"""What a CUDA graph does to some steps, without a GPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# A GPU would have to be waited for.
READING = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}


class Recorded:
    """The tensor operations of a call, done again on the same memory with what it holds then.

    Recording fails if the call reads a tensor's value.
    """

    def __init__(self, steps: Callable[..., None], *inputs: Tensor) -> None:
        with _Recording() as recording:
            steps(*inputs)
        self._operations = recording.found

    def __call__(self) -> None:
        for operation, given, named, results in self._operations:
            again = operation(*given, **named)
            for mine, found in zip(tree_leaves(results), tree_leaves(again), strict=True):
                if isinstance(mine, Tensor) and mine.data_ptr() != found.data_ptr():
                    mine.copy_(found)


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in READING, "a step reads a tensor's value"
        named = kwargs or {}
        results = func(*args, **named)
        if "empty" not in func.name():
            self.found.append((func, args, named, results))
        return results
