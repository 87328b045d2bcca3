"""Wikipedia's XML dumps: articles, with wiki markup turned into plain text."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from bertops.corpus.params import SourceParams
from bertops.corpus.readers import Fault, Record, Text

ARTICLES = "0"  # the namespace of encyclopedia articles
MAX_NESTING = 40

# A match stops at the next opening of its own kind: thousands of unclosed ones stay linear.
COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
DROPPED = re.compile(
    r"<(ref|gallery|math|code|source|timeline|score|syntaxhighlight)\b[^<>/]*"
    r"(?:/>|>(?:(?!<\1\b).)*?</\1\s*>)",
    re.DOTALL | re.IGNORECASE,
)
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")
TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
TABLE = re.compile(r"\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL)
# Pictures and categories, in the languages whose dumps are most used.
MEDIA = re.compile(
    r"\[\[\s*(?:file|image|category|datei|bild|kategorie|fichier|catégorie|archivo|categoría|文件|"
    r"檔案|图像|圖像|分类|分類)\s*:[^\[\]]*(?:\[\[[^\[\]]*\]\][^\[\]]*)*\]\]",
    re.IGNORECASE,
)
LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
ADDRESS = re.compile(r"\[(?:https?|ftp)://[^\s\]]+\s*([^\]]*)\]")
HEADING = re.compile(r"^=+\s*(.*?)\s*=+\s*$", re.MULTILINE)
QUOTES = re.compile(r"'{2,5}")
BULLETS = re.compile(r"^[*#:;]+\s*", re.MULTILINE)
MAGIC = re.compile(r"__[A-Z]+__")
VARIANT = re.compile(r"-\{(?:[a-zA-Z-]+:)?([^{};]*)[^{}]*\}-")


def read_wiki(file: Text, source: SourceParams) -> Iterator[Record | Fault]:
    """Articles of a dump, one after the other, in bounded memory; redirects are passed over.

    Columns: the text, `title` and `id`. Rows are numbered over all pages of the dump.
    """
    row, root = -1, None
    try:
        for event, element in ET.iterparse(file.stream, events=("start", "end")):
            root = element if root is None else root
            if event == "end" and _name(element) == "page":
                row += 1
                article = _article(element, source)
                root.clear()  # what was read is let go
                if article:
                    yield Record(row, article)
    except ET.ParseError as error:
        yield Fault(row + 1, f"the rest of the dump is not readable: {error}")


def _article(page: ET.Element, source: SourceParams) -> dict[str, str] | None:
    """Columns of an article; None for a redirect or a page of another kind."""
    own = {_name(child): child.text or "" for child in page}
    if own.get("ns", ARTICLES) != ARTICLES or "redirect" in own:
        return None
    markup = next((e.text or "" for e in page.iter() if _name(e) == "text"), "")
    return {
        source.text_column: plain_text(markup),
        "title": own.get("title", ""),
        "id": own.get("id", ""),
    }


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def plain_text(markup: str) -> str:
    """Wiki markup → text: links by their label, headings as lines, no templates, no tables."""
    text = DROPPED.sub("", COMMENT.sub("", markup))
    text = _without_nested(TEMPLATE, text)
    text = _without_nested(TABLE, text)
    text = LINK.sub(r"\1", MEDIA.sub("", text))
    text = ADDRESS.sub(r"\1", VARIANT.sub(r"\1", text))
    text = HEADING.sub(r"\1", MAGIC.sub("", text))
    return QUOTES.sub("", BULLETS.sub("", TAG.sub("", text))).strip()


def _without_nested(pattern: re.Pattern[str], text: str) -> str:
    """Remove matches from the inside out, until none is left."""
    for _ in range(MAX_NESTING):
        text, removed = pattern.subn("", text)
        if not removed:
            break
    return text
