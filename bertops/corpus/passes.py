"""The passes over all shards: what is done already is found, the rest is given to workers."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bertops.corpus.clock import Clock
from bertops.corpus.dedup import boilerplate_lines
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.presidio_check import prepare
from bertops.corpus.shard import SECONDS, judge_shard, key_of, sign_shard
from bertops.corpus.tables import only_part, parts
from bertops.corpus.verdicts import Signed
from bertops.document import SplitParams
from bertops.errors import BertopsError
from bertops.parallel import ALL, Share, Task, Workers
from bertops.storage import count_bytes, hash_code, hash_file, hash_tree, read_json, remove

CODE = Path(__file__).parent
OWN = "bertops-clean-"


@dataclass(frozen=True)
class Place:
    """Where finished shards lie, each under a hash of everything it depends on."""

    root: Path
    own: Path
    """What this process alone makes and reads, so that several can work on one `root`."""

    @classmethod
    @contextlib.contextmanager
    def opened(cls, root: Path | None) -> Iterator["Place"]:
        """A place whose shards stay in `root`; without it, nothing stays."""
        if root:
            root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=OWN, dir=root) as own:
            yield cls(root or Path(own), Path(own))

    @property
    def evaluation(self) -> Path:
        """Evaluation texts, made anew in every run."""
        return self.own / "evaluation"

    @property
    def judged(self) -> Path:
        """Shards after the first pass."""
        return self.root / "judged"

    @property
    def signed(self) -> Path:
        """Shards after the second pass."""
        return self.root / "signed"

    @property
    def boilerplate(self) -> Path:
        """Lines to strip, by source, made anew in every run."""
        return self.own / "boilerplate"

    @property
    def comparing(self) -> Path:
        """What workers hand to each other while all documents are compared."""
        return self.own / "comparing"

    def forget_all_but(
        self, judged: Mapping[str, Iterable[Path]], signed: Sequence[Signed]
    ) -> None:
        """Remove the shards of other inputs and parameters, and what a killed run left."""
        used = {self.own, *(folder for folders in judged.values() for folder in folders)}
        used |= {shard.folder for shard in signed}
        for folder in [
            *self.judged.glob("*"),
            *self.signed.glob("*"),
            *self.root.glob(f"{OWN}*"),
        ]:
            if folder not in used:
                remove(folder)


Plan = Mapping[str, Mapping[Path, Task]]
"""By source: the folder of each judged shard, and the call of `judge_shard` that writes it."""


class ShardsMissing(BertopsError):
    """The second pass needs every shard of the first, and some are not there."""

    def __init__(self, missing: int, total: int) -> None:
        self.missing, self.total = missing, total
        super().__init__(
            f"sign: {missing} of {total} shards are not judged yet. Every task of "
            "`bertops corpus judge --task I --of N` has to end first, with the same params.yaml."
        )


def judge(plan: Plan, workers: Workers, share: Share = ALL) -> None:
    """Judge the raw parts of this share; those that were judged before are not judged again."""
    tasks = {target: task for shards in plan.values() for target, task in shards.items()}
    _run_missing(judge_shard, tasks, workers, "judge", share)


def seconds_of(judged: Plan) -> dict[str, float]:
    """What the steps of judging took, over all shards."""
    clock = Clock()
    for shards in judged.values():
        for folder in shards:
            clock.add(read_json(folder / SECONDS))
    return clock.seconds


def plan_judging(
    raw: Mapping[str, Path], place: Place, params: CorpusParams, split: SplitParams
) -> Plan:
    """Which folders the judged raw parts are to have, by source."""
    sources = {source.name: source for source in params.sources}
    decided = {
        "params": params.rules.model_dump_json()
        + params.normalize.model_dump_json()
        + params.language.model_dump_json()
        + params.pii.model_dump_json()
        + str(params.dedup.boilerplate_min_words),
        "split": split.model_dump_json(),
        "code": _code_hash(),
    } | prepare(params)
    plan: dict[str, dict[Path, Task]] = {}
    for name in sorted(raw):
        plan[name] = {}
        for part in parts(raw[name]):
            target = place.judged / key_of(decided | _part_facts(part, sources[name]))
            plan[name][target] = (part, target, sources[name], params, split)
    return plan


def _code_hash() -> str:
    """Changes with the code of this package, and with Polars, whose hashes of words are its own."""
    return key_of({"code": hash_code(CODE), "polars": pl.__version__})


def _part_facts(part: Path, source: SourceParams) -> dict[str, str]:
    languages = ",".join(source.languages) if source.languages is not None else "-"
    return {"part": hash_file(part), "languages": languages}


def sign(
    judged: Plan, place: Place, params: CorpusParams, workers: Workers, share: Share = ALL
) -> list[Signed]:
    """Sign the judged shards of this share: sources by name, the evaluation texts at the end.

    Raises:
        ShardsMissing: lines that many documents share are counted over all shards, and one is not
            judged yet.
    """
    folders = [folder for name in sorted(judged) for folder in judged[name]]
    if missing := sum(not folder.exists() for folder in folders):
        raise ShardsMissing(missing, len(folders))
    index = place.evaluation / "index" if params.decontaminate.enabled else None
    decided = {
        "params": params.dedup.model_dump_json() + params.decontaminate.model_dump_json(),
        "index": hash_tree(index) if index else "-",
    }
    shards, tasks = [], {}
    for name in sorted(judged):
        boilerplate = place.boilerplate / f"{name}.parquet"
        _write_boilerplate(judged[name], boilerplate, params)
        known = decided | {"boilerplate": hash_file(boilerplate)}
        for folder in judged[name]:
            target = place.signed / key_of(known | {"judged": folder.name})
            shards.append(Signed(target, ledger=only_part(folder / "ledger")))
            tasks[target] = (folder, target, boilerplate, index, params)
    _run_missing(sign_shard, tasks, workers, "sign", share)
    return [*shards, Signed(place.evaluation, ledger=None)]


def _write_boilerplate(folders: Iterable[Path], target: Path, params: CorpusParams) -> None:
    """Hashes of the lines that too many documents of one source share."""
    folders = list(folders)
    kept = pl.scan_parquet([only_part(folder / "kept") for folder in folders])
    documents = int(kept.select(pl.len()).collect().item()) if folders else 0
    counts = pl.scan_parquet([only_part(folder / "lines") for folder in folders])
    found = boilerplate_lines(counts, documents, params.dedup)
    target.parent.mkdir(parents=True, exist_ok=True)
    found.to_frame().write_parquet(target)


def _run_missing(
    function: Callable[..., None],
    tasks: Mapping[Path, Task],
    workers: Workers,
    what: str,
    share: Share,
) -> None:
    """Run the share's tasks whose target is not there; the progress bar tells how many are.

    The first argument of a task is what it reads. The largest come first, so that no worker is
    left with one when the others have ended.
    """
    mine = share.pick(tasks.items())
    missing = [task for target, task in mine if not target.exists()]
    missing.sort(key=lambda task: count_bytes(task[0]), reverse=True)
    ready = len(mine) - len(missing)
    told = f"{what} ({ready} of {len(mine)} shards were done before)" if ready else what
    workers.run(function, missing, told)
