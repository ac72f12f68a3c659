"""What a CUDA graph does to a step, without a GPU."""

from collections.abc import Callable

from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx


class Recorded:
    """The tensor operations of a step's first call, done again with what its inputs hold.

    Recording fails if the step reads a tensor's value, for which a GPU would have to be waited.
    """

    def __init__(self, step: Callable[..., None], *inputs: Tensor) -> None:
        self._inputs = inputs
        # The recorder counts parameters, of which a bound method has one more.
        self._operations = make_fx(lambda *given: step(*given))(*inputs)

    def __call__(self, *inputs: Tensor) -> None:
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._operations(*self._inputs)
