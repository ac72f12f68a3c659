"""What tests of the worker share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def keep_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what stands in for the main module once a user's script is loaded.

    Processes that a later test starts would run that script.
    """
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", getattr(main, "__file__", None), raising=False)
    monkeypatch.setitem(sys.modules, "__mp_main__", main)
