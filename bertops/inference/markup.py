"""HTML in texts that people pasted from the web."""

import re
from html import unescape

_TAG = re.compile(r"<[a-zA-Z/!][^<>]*>")


def strip_html(text: str) -> str:
    """Tags become spaces, entities characters, and runs of whitespace one space."""
    return " ".join(unescape(_TAG.sub(" ", text)).split())
