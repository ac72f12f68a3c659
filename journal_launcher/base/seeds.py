"""Seeds of a trial, from the study's seed and the trial's number alone."""

import hashlib

__all__ = ["trial_seed"]


def trial_seed(study_seed: int, number: int, purpose: str = "train") -> int:
    """A seed below 2^32 for one use (`purpose`) in trial `number` of a study.

    The same in every process and on every platform, and unrelated between numbers and purposes.
    """
    digest = hashlib.sha256(f"{study_seed}/{number}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
