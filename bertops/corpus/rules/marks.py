"""Punctuation, as regular expressions of Rust's `regex` (linear time, no look-around)."""

PUNCTUATION_ONLY = r"^[\p{P}\p{S}\p{Cc}]+$"
"""A token without a letter or a digit."""

SENTENCE_END = r"[.?!。！？…]+[\"'”’)\]」』]*(?:\s|$)|[。！？…]+[”’」』）]*"
"""Where a sentence ends: the mark, closing quotes, and a space unless the script has none."""

TERMINAL = r"[.?!。！？．｡؟۔।॥։።၊။។…‽⁇⁈⁉‼]$"
"""A line that ends a sentence in any of the scripts that mark it. FineWeb counts no quotes."""
