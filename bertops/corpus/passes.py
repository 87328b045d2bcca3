"""The passes over all shards: what is done already is found, the rest is given to workers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bertops.corpus.dedup import boilerplate_lines
from bertops.corpus.params import CorpusParams, SourceParams
from bertops.corpus.shard import judge_shard, key_of, sign_shard
from bertops.corpus.tables import only_part, parts
from bertops.corpus.verdicts import Signed
from bertops.document import SplitParams
from bertops.parallel import run_tasks
from bertops.storage import hash_file, hash_tree, remove

CODE = Path(__file__).parent


@dataclass(frozen=True)
class Place:
    """Where finished shards lie, each under a hash of everything it depends on."""

    root: Path

    @property
    def evaluation(self) -> Path:
        """Evaluation texts, made anew in every run."""
        return self.root / "evaluation"

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
        """Lines to strip, by source."""
        return self.root / "boilerplate"

    def forget_all_but(
        self, judged: Mapping[str, Sequence[Path]], signed: Sequence[Signed]
    ) -> None:
        """Remove the shards of other inputs and parameters, which nothing will ask for."""
        used = {folder for folders in judged.values() for folder in folders}
        used |= {shard.folder for shard in signed}
        for folder in [*self.judged.glob("*"), *self.signed.glob("*")]:
            if folder not in used:
                remove(folder)


def judge(
    raw: Mapping[str, Path], place: Place, params: CorpusParams, split: SplitParams
) -> dict[str, list[Path]]:
    """Judge every raw part, by source; parts that were judged before are not judged again."""
    sources = {source.name: source for source in params.sources}
    decided = {
        "params": params.rules.model_dump_json()
        + params.normalize.model_dump_json()
        + params.language.model_dump_json()
        + params.pii.model_dump_json()
        + str(params.dedup.boilerplate_min_words),
        "split": split.model_dump_json(),
        "code": _code_hash(),
    }
    judged: dict[str, list[Path]] = {}
    tasks = {}
    for name in sorted(raw):
        judged[name] = []
        for part in parts(raw[name]):
            facts = decided | _part_facts(part, sources[name])
            target = place.judged / key_of(facts)
            judged[name].append(target)
            tasks[target] = (part, target, sources[name], params, split)
    _run_missing(judge_shard, tasks, params, "judge")
    return judged


def _code_hash() -> str:
    """Changes with the code of this package, and with Polars, whose hashes of words are its own."""
    files = {str(path.relative_to(CODE)): hash_file(path) for path in CODE.rglob("*.py")}
    return key_of(files | {"polars": pl.__version__})


def _part_facts(part: Path, source: SourceParams) -> dict[str, str]:
    languages = ",".join(source.languages) if source.languages is not None else "-"
    return {"part": hash_file(part), "languages": languages}


def sign(judged: Mapping[str, Sequence[Path]], place: Place, params: CorpusParams) -> list[Signed]:
    """Sign every judged shard: sources by name, then the evaluation texts as the last shard."""
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
    _run_missing(sign_shard, tasks, params, "sign")
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
    function: object, tasks: Mapping[Path, tuple[object, ...]], params: CorpusParams, what: str
) -> None:
    """Run the tasks whose target is not there; the progress bar tells how many are."""
    missing = [task for target, task in tasks.items() if not target.exists()]
    ready = len(tasks) - len(missing)
    told = f"{what} ({ready} of {len(tasks)} shards were done before)" if ready else what
    run_tasks(function, missing, params.parallel, told)  # type: ignore[arg-type]
