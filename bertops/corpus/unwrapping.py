"""Hard line breaks: paragraphs that somebody wrapped at a fixed width become single lines again.

Wrapped prose is known by its lines being full: the first word of the next line would not have
fitted any more. Verse and lists break elsewhere, and stay.
"""

from itertools import pairwise

WRAPPED_LINES = 20  # fewer lines prove nothing
FULL_SHARE = 0.9
MAX_WIDTH = 100


def unwrap(text: str) -> str:
    """`text` with the lines of its paragraphs joined when they were wrapped; else unchanged.

    Paragraphs are separated by empty lines.
    """
    paragraphs = [[line.strip() for line in part.split("\n")] for part in text.split("\n\n")]
    breaks = [
        (len(line), len(line) + 1 + len(after.split(" ", 1)[0]))
        for lines in paragraphs
        for line, after in pairwise(lines)
        if line and after
    ]
    if len(breaks) < WRAPPED_LINES:
        return text
    lengths = sorted(length for length, _ in breaks)
    width = lengths[int(0.95 * len(lengths))]
    full = sum(needed > width for _, needed in breaks)
    if width > MAX_WIDTH or full < FULL_SHARE * len(breaks):
        return text
    return "\n\n".join(" ".join(lines) for lines in paragraphs)
