"""Text from a journal, a file or a user's code, made safe to show: it cannot steer a terminal."""

import re

__all__ = ["one_line", "visible"]

# C0, DEL, C1, line separators, what turns the direction of text, halves of surrogate pairs.
_ODD = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_ODD}]")
_CONTROL_OR_BREAK = re.compile(f"[{_ODD}\t\n]")


def visible(text: str) -> str:
    """Show every control character, but for tabs and line ends, as Python writes it: \\x1b."""
    return _CONTROL.sub(_escaped, text)


def one_line(text: str) -> str:
    """As `visible`, and also the ends of lines: what is quoted cannot pass for a line of ours."""
    return _CONTROL_OR_BREAK.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]
