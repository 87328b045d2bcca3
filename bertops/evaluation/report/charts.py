"""Charts as inline SVG: drawn by matplotlib, coloured by the page.

A chart is drawn in stand-in colours that are then replaced by CSS variables, so that one picture
follows light and dark mode; its text stays text. The same numbers give the same bytes.
"""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH_INCHES = 5.6  # 403 px in the SVG's own units: the text is not much smaller on a phone
COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--grid)",
    "#040404": "var(--surface)",
    "#050501": "var(--series-1)",
    "#050502": "var(--series-2)",
    "#050503": "var(--series-3)",
    "#050504": "var(--series-4)",
}
INK, MUTED, GRID, SURFACE, *SERIES = COLOURS

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bertops",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.axisbelow": True,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "figure.facecolor": "none",
}


@dataclass(frozen=True)
class Interval:
    """A value with its interval, as one line of a chart."""

    name: str
    value: float
    low: float
    high: float
    series: int = 0
    """Position in the palette; one model has one colour everywhere."""


def interval_chart(rows: Sequence[Interval], *, title: str, axis: str) -> Markup:
    """Values with their intervals, one line each, first on top."""
    with _drawing(height=0.9 + 0.38 * len(rows)) as (figure, axes):
        for y, row in enumerate(reversed(rows)):
            colour = SERIES[row.series]
            axes.plot([row.low, row.high], [y, y], color=colour, solid_capstyle="round")
            axes.plot([row.value], [y], "o", color=colour, markersize=8, markeredgecolor=SURFACE)
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], color=INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(axis)
        text = "; ".join(f"{r.name} {r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in rows)
        return _svg(figure, title, text)


def line_chart(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    title: str,
    x_axis: str,
    y_axis: str,
    level: tuple[str, float] | None = None,
) -> Markup:
    """Curves over one axis; `level` is a horizontal line to compare with.

    Args:
        lines: name, x and y of each.
    """
    with _drawing(height=3.0) as (figure, axes):
        for (name, x, y), colour in zip(lines, SERIES, strict=False):
            axes.plot(x, y, color=colour, label=name, solid_capstyle="round")
        if level:
            axes.axhline(level[1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                level[0], (1, level[1]), xycoords=("axes fraction", "data"), color=MUTED,
                ha="right", va="bottom", xytext=(0, 3), textcoords="offset points",
            )  # fmt: skip
        axes.set_xlabel(x_axis)
        axes.set_ylabel(y_axis)
        axes.grid(axis="x", visible=False)
        axes.legend(loc="lower right", labelcolor=INK, bbox_to_anchor=(1, 1), ncols=len(lines))
        text = "; ".join(f"{name} from {y[0]:.2f} to {y[-1]:.2f}" for name, _, y in lines)
        return _svg(figure, title, text)


def reliability_chart(bins: Sequence[Mapping[str, Any]], *, title: str) -> Markup:
    """Accuracy over confidence, with intervals; honest confidence lies on the diagonal."""
    with _drawing(height=3.4) as (figure, axes):
        least = min(b["confidence"] for b in bins) - 0.05
        axes.plot([least, 1], [least, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        for b in bins:
            x = b["confidence"]
            axes.plot([x, x], [b["low"], b["high"]], color=SERIES[0], solid_capstyle="round")
        xs, ys = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
        axes.plot(xs, ys, "o", color=SERIES[0], markersize=8, markeredgecolor=SURFACE)
        axes.set_xlabel("confidence of the model")
        axes.set_ylabel("share of right answers")
        text = "; ".join(f"at {x:.2f} right {y:.2f}" for x, y in zip(xs, ys, strict=True))
        return _svg(figure, title, text)


@contextlib.contextmanager
def _drawing(height: float) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes in our style, without pyplot and its global state; inches."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Any, title: str, text: str) -> Markup:
    """The figure as an `<svg>` element that says in words what it shows."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), title, text)


def _inline(svg: str, title: str, text: str) -> Markup:
    """Ready a stand-alone SVG file for use within a page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)
    for stand_in, variable in COLOURS.items():
        svg = svg.replace(stand_in, variable)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    svg = _own_ids(svg, prefix=re.sub(r"\W+", "-", title.lower()))
    head = f"<title>{escape(title)}</title><desc>{escape(text)}</desc>"
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg role="img" viewBox="\1">{head}', svg
    )
    return Markup(re.sub(r"\n\s*", "\n", svg))


def _own_ids(svg: str, prefix: str) -> str:
    """Drop ids that nothing refers to, and make the others unique within the page."""
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    for id in sorted(used):
        svg = re.sub(rf'(id="|#){re.escape(id)}\b', rf"\g<1>{prefix}-{id}", svg)
    return svg.replace("xlink:href", "href")
