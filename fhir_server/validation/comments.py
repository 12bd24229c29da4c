"""JSON with comments, which FHIR does not have, for those who ask to be read leniently."""

from __future__ import annotations

import re

# A string is matched first, so that what looks like a comment in it is left alone.
_STRING_OR_COMMENT = re.compile(rb'("(?:\\.|[^"\\])*")|//[^\r\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(data: bytes) -> bytes:
    """The text with a space for each `// …` and `/* … */`."""
    return _STRING_OR_COMMENT.sub(lambda found: found[1] or b" ", data)
