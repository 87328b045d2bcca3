"""`bertops corpus`: why a document was dropped, what the rules would do, what changed, and cleaning
by many processes."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bertops.cli.output import JsonFlag, plain, print_json, table

if TYPE_CHECKING:
    from bertops.corpus.explain import Story

app = typer.Typer(help="Explain, preview and compare cleaning; share it out.", no_args_is_help=True)


@app.command()
def explain(
    context: typer.Context,
    doc_id: Annotated[str, typer.Argument(help="Id of a document, or the beginning of one.")],
    json: JsonFlag = False,
) -> None:
    """Tell the whole story of one document: where it is from, what was done, why it was dropped."""
    from bertops.corpus.explain import explain
    from bertops.params import load
    from bertops.paths import Paths

    paths = Paths(context.obj)
    params = load(paths.root / "params.yaml")
    raw = {source.name: paths.raw(source.name) for source in params.corpus.sources}
    stories = explain(doc_id, raw, paths.corpus, paths.ledger)
    if json:
        print_json([plain(story) for story in stories])
    else:
        print("\n\n".join("\n".join(_told(story)) for story in stories))


@app.command()
def preview(
    context: typer.Context,
    source: Annotated[str, typer.Option(help="Name of a source in params.yaml.")],
    count: Annotated[int, typer.Option("-n", help="Documents to read.", min=1)] = 20,
    json: JsonFlag = False,
) -> None:
    """Show what the rules would do to the first documents of a source; nothing is written."""
    from bertops.corpus.explain import preview
    from bertops.params import load

    params = load(context.obj / "params.yaml")
    stories = preview(params.source(source), context.obj, params.corpus, params.split, count)
    if json:
        print_json([plain(story) for story in stories])
        return
    print("\n\n".join("\n".join(_told(story)) for story in stories))
    dropped = sum(story.verdict.startswith("dropped") for story in stories)
    print(f"\n{len(stories)} documents read, {dropped} would be dropped")


@app.command()
def diff(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Git revision to compare with, e.g. HEAD~1.")],
    json: JsonFlag = False,
) -> None:
    """Compare the corpus of this checkout with that of another revision."""
    from bertops.corpus.explain import difference
    from bertops.paths import Paths
    from bertops.storage import read_json
    from bertops.versioning import read_output

    path = Paths(context.obj).report("clean")
    old = read_output(context.obj, revision, path.relative_to(context.obj))
    changes = list(difference(old, read_json(path)))
    if json:
        print_json({name: {"old": before, "new": after} for name, before, after in changes})
    else:
        print(_changes(changes))


def _changes(changes: Iterable[tuple[str, int, int]]) -> str:
    return table([(n, f"{a:,}", "→", f"{b:,}", f"{b - a:+,}") for n, a, b in changes])


@app.command()
def last(context: typer.Context, json: JsonFlag = False) -> None:
    """Tell how long the steps of the last cleaning took, and what changed since the one before."""
    from bertops.corpus.history import recall
    from bertops.errors import UsageError
    from bertops.paths import Paths

    found = recall(Paths(context.obj).shards)
    if found is None:
        raise UsageError("nothing was cleaned in this checkout yet; run bertops stage clean")
    if json:
        print_json(plain(found))
        return
    print(table([(name, f"{seconds:,.1f} s") for name, seconds in found.seconds.items()]))
    print("\nsince the run before:" if found.changes else "\nsince the run before: no change")
    print(_changes(found.changes))


Task = Annotated[int, typer.Option(help="Which share, from 0: $SLURM_ARRAY_TASK_ID.")]
Of = Annotated[int, typer.Option(help="How many shares: $SLURM_ARRAY_TASK_COUNT.")]


@app.command()
def judge(context: typer.Context, task: Task, of: Of) -> None:
    """First pass of `clean` over one share of the shards, in a Slurm array, after `ingest`."""
    _share(context, "judge", task, of)


@app.command()
def sign(context: typer.Context, task: Task, of: Of) -> None:
    """Second pass over one share, after every task of the first; then `bertops stage clean`."""
    _share(context, "sign", task, of)


def _share(context: typer.Context, name: Literal["judge", "sign"], task: int, of: int) -> None:
    from bertops.parallel import Share
    from bertops.params import load
    from bertops.paths import Paths
    from bertops.stages import clean_share

    share = Share(task, of)
    clean_share(load(context.obj / "params.yaml"), Paths(context.obj), name, share)


def _told(story: "Story") -> Iterator[str]:
    """A story as lines."""
    yield f"{story.doc_id}  {story.source}  {story.file}:{story.row}"
    yield f"  {story.verdict}"
    for reason in story.reasons:
        value = (
            "" if reason.value is None else f" {reason.value:.4g} (limit {reason.threshold:.4g})"
        )
        more = " ".join(text for text in (reason.detail, reason.duplicate_of) if text)
        yield f"    {'*' if reason.counts else ' '} {reason.rule}{value} {more}".rstrip()
    if story.edits:
        yield "  edits: " + ", ".join(f"{name} {n}" for name, n in story.edits.items())
    if story.cluster:
        yield f"  stays for its copies, cluster {story.cluster}"
    yield f"  before: {' '.join(story.before.split())[:200]}"
    if story.after is not None:
        yield f"  after:  {' '.join(story.after.split())[:200]}"
