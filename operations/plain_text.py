"""Text from outside, from charging points not least, as it may be shown to a person."""

from __future__ import annotations

import re

# C0 and C1 with ESC and DEL; line separators; what sets the direction of text; invisible marks.
# Source: Unicode 17, categories Cc, Zl, Zp and Cf of the bidirectional algorithm (UAX 9).
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: str) -> str:
    r"""Return a text with control characters shown as ``\x1b`` or ``\u202e``."""
    return _CONTROL.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
