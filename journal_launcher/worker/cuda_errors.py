"""Which exceptions mean that the GPU is full, and which that this process can never use it again.

Known by their words (torch, CatBoost, CuPy, JAX and others each have their own classes), and by the
device, where torch can ask it: the same words are said of a wrong launch and of a lost context.
"""

import gc
import re
import sys
import traceback
from collections.abc import Iterator

__all__ = ["breaks_process", "chain", "is_out_of_memory", "let_go", "words"]

# torch: "CUDA out of memory. Tried…", "CUDA error: out of memory", "… CUBLAS_STATUS_ALLOC_FAILED";
# CatBoost: "CUDA error 2: out of memory"; JAX: "RESOURCE_EXHAUSTED: Out of memory while trying…".
# A library that cannot even begin has no room for its workspace.
_FULL = re.compile(
    r"(CUDA|cuda|GPU|RESOURCE_EXHAUSTED).*[Oo]ut of memory|_STATUS_ALLOC_FAILED"
    r"|CU(BLAS|DNN|SPARSE|SOLVER)_STATUS_NOT_INITIALIZED"
)
_OF_CUDA = re.compile(r"CUDA|cuda|\bCU(BLAS|DNN|SPARSE|SOLVER)_|Triton|illegal memory access")
# After such an error every call into CUDA fails, until the process ends.
_BROKEN = re.compile(
    r"CUDA error\b|\bcudaError[A-Z]|\bCUDA_ERROR_[A-Z]|illegal memory access|device-side assert"
    r"|unspecified launch failure"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Did the GPU's memory not suffice? Then the next trial may fit."""
    return any(map(_says_full, chain(error)))


def breaks_process(error: BaseException) -> bool:
    """Is this process's CUDA context lost? The device says; where nobody can ask it, the words."""
    if any(_OF_CUDA.search(words(link)) for link in chain(error)):
        works = _device_works()
        if works is not None:
            return not works
    return any(_BROKEN.search(words(link)) and not _says_full(link) for link in chain(error))


def let_go(error: BaseException) -> None:
    """Free what the exception's tracebacks hold, and after a full GPU what torch keeps of it."""
    for link in chain(error):  # tracebacks hold the objective's frames, and so its tensors
        traceback.clear_frames(link.__traceback__)
    gc.collect()
    torch = sys.modules.get("torch")
    if is_out_of_memory(error) and torch is not None:
        torch.cuda.empty_cache()


def _device_works() -> bool | None:
    """Whether the GPU that torch uses still computes for this process; None if it uses none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    try:
        torch.cuda.synchronize()
        torch.ones(1, device="cuda").item()
    except Exception as error:
        return _says_full(error)  # full is not lost
    return True


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it was raised from, or while handling."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def words(error: BaseException) -> str:
    """What the exception says; nothing if saying it raises, as in a class of the user's own."""
    try:
        return str(error)
    except Exception:
        return ""


def _says_full(error: BaseException) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or bool(_FULL.search(words(error)))
