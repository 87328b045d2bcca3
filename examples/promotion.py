"""A promotion, a refused worse candidate, an inconclusive one, a rollback, and the history.

    python -m examples.promotion [PROJECT]

Takes the first task's model of a project where `bertops run` has been through, and registers it
beside copies of it that were damaged on purpose (noise on the weights). What happens to them is
not staged: each copy is asked about the project's test set and goes through the gates, with
`against_champion: better`. All of it in a temporary folder: of the project itself, only the record
of looks at its test set gets a line. Takes about a minute on 2 cores.
"""

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bertops.errors import BertopsError, GateRefused, UsageError

ROWS = 400
"""Test rows to use: enough to find a damage of some points, few enough to leave doubt."""

NOISES = (0.03, 0.1, 0.2, 0.4, 0.6, 0.9, 1.3, 2.0)
"""From damage that nobody can see to more than any model survives, in shares of the spread."""

DRAWS = 2
"""Copies with each noise: how much harm the same noise does is a matter of luck."""


def main() -> None:
    """Tell the story in order."""
    project = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with TemporaryDirectory(prefix="bertops-demo-") as folder:
        try:
            tell(borrow(project, Path(folder)))
        except BertopsError as error:
            sys.exit(f"error: {error}")


def tell(demo: Path) -> None:
    """Register four versions, try to promote each, roll back, and read the history."""
    from bertops.asking import open_registry
    from bertops.params import load
    from bertops.paths import Paths
    from bertops.registry.promote import history, rollback
    from bertops.registry.register import Facts, register
    from bertops.registry.smoke import smoke_test
    from bertops.release import promote_version
    from bertops.storage import hash_tree

    paths = Paths(demo)
    corpus = hash_tree(paths.corpus)
    task = load(demo / "params.yaml").tasks[0].name
    registry = open_registry(paths)
    say(f"Damaging copies of the {task} model until the gates will tell them apart ...")
    candidates = choose(demo, task)
    for number, (about, model, _) in enumerate(candidates, start=1):
        say(f"\n{number}. {about}")
        lineage = {"bertops.dvc_lock": about, "bertops.data.corpus": corpus}
        facts = Facts(lineage={"bertops.git_commit": ""} | lineage)
        say(f"   {register(registry, task, model, facts).sentence}")
        try:
            done = promote_version(demo, task, number, why=about)
            for gate in done.gates:
                say(f"   {'pass' if gate.passed else 'FAIL'}  {gate.gate}: {gate.said}")
            say(f"   {done.sentence}")
        except GateRefused as refused:
            say(f"   refused (exit code {refused.exit_code}): {refused}")
    say("\n5. Roll back")
    cache = paths.state / "models"
    back = rollback(
        registry,
        task,
        why="to show that it takes one command",
        smoke_test=lambda number: smoke_test(registry, task, number, cache),
    )
    say(f"   {back.sentence}\n\nThe history:")
    for entry in history(registry, task):
        e = entry.event
        say(f"   {entry.number:>2}  {e.kind:<12} {e.from_version or '-'} → {e.to_version}  {e.why}")
    say(f"\nThe aliases: {registry.aliases(task)}")


def say(text: str) -> None:
    """Print at once: the story is read while it happens."""
    print(text, flush=True)


def borrow(project: Path, demo: Path) -> Path:
    """A project that reads the real one's results, with fewer test rows and state of its own.

    The real project is told that its test set was looked at.

    Raises:
        UsageError: the project has no results yet.
    """
    import polars as pl

    from bertops.evaluation.reads import log_read
    from bertops.params import load
    from bertops.paths import Paths
    from bertops.storage import hash_file, write_text

    params = load(project / "params.yaml")
    task = params.tasks[0].name
    real, copy = Paths(project), Paths(demo)
    if not (real.evaluation / "evaluation.json").exists():
        raise UsageError(f"{project} has no results yet; make run makes them")
    for name in ("models", "reports"):
        (demo / name).symlink_to(project / name)
    shutil.copytree(project / "data/tasks", demo / "data/tasks")
    shutil.copytree(project / "data/predictions", demo / "data/predictions")
    (demo / "data/corpus").symlink_to(project / "data/corpus")
    rows = copy.task_data(task) / "test.parquet"
    log_read(real.state, task, hash_file(rows), "promote-demo")
    asked = pl.read_parquet(rows)
    places = random.Random(0).sample(range(len(asked)), min(ROWS, len(asked)))
    asked[sorted(places)].write_parquet(rows)
    answers = copy.predictions(task) / "test.parquet"
    place = pl.int_range(pl.len()).over("model", "seed")  # predictions have the order of the rows
    pl.read_parquet(answers).filter(place.is_in(places)).write_parquet(answers)
    # The first champion here is damaged, so it may well be worse than the control; and who asks
    # for proof is shown what happens without.
    changed = {"not_worse_than_control": False, "against_champion": "better"}
    gates = params.registry.gates.model_copy(update=changed)
    registry = params.registry.model_copy(
        update={"gates": gates, "mode": "on", "approval": False, "public_key": None}
    )
    settled = params.model_copy(update={"registry": registry})
    write_text(demo / "params.yaml", settled.model_dump_json())  # JSON is YAML
    return demo


def choose(demo: Path, task: str) -> list[tuple[str, Path, float]]:
    """What the story needs: a poor first champion, today's model, a poor and a doubtful copy.

    Raises:
        UsageError: today's model knows too little for damage to show.
    """
    from bertops.paths import Paths

    doubtful, poor = None, None
    for noise, model, verdict in damaged(demo, task):
        if verdict == "inconclusive" and doubtful is None:
            doubtful = (f"A copy with a little noise ({noise:.3f}): nobody can tell", model, noise)
        if verdict == "worse":
            poor = (f"A copy with noise ({noise:.3f}) on its weights", model, noise)
        if doubtful and poor:
            break
    if poor is None or doubtful is None:
        raise UsageError(
            f"the {task} model is too close to chance for damage to show in {ROWS} test rows; "
            "run the demo on the quickstart, after make run"
        )
    worse = demo / "worse"
    add_noise(poor[1], worse, 3 * poor[2], seed=-1)
    return [
        (f"{poor[0]}, as the first champion", poor[1], poor[2]),
        ("The model as it was trained", Paths(demo).task_model(task).resolve(), 0.0),
        ("A copy with noise on top of noise: worse", worse, poor[2]),
        doubtful,
    ]


def damaged(demo: Path, task: str) -> Iterator[tuple[float, Path, str]]:
    """Copies with more and more noise, each with the verdict against today's model."""
    from bertops.evaluation.compare import compare
    from bertops.evidence import Exam, read_answers, write_answers
    from bertops.params import load
    from bertops.paths import Paths

    paths, rules = Paths(demo), load(demo / "params.yaml").evaluation.compare
    exam = Exam.read(paths, task, "demo")
    original = paths.task_model(task).resolve()
    for number, noise in enumerate(noise for noise in NOISES for _ in range(DRAWS)):
        model = demo / "damaged" / str(number)
        add_noise(original, model, noise, seed=number)
        kept = demo / "damaged" / f"{number}.parquet"
        write_answers(kept, model, exam)
        answers = read_answers(kept, f"noise {noise:.3f}", exam)
        found = compare([answers], [exam.shipped], exam.score, rules)
        back = compare([exam.shipped], [answers], exam.score, rules)  # asks for more: for power
        clear = found.verdict != "worse" or back.verdict == "better"
        say(f"   noise {noise:.3f}: {found.score} {found.first_value:.3f}, {found.verdict}")
        yield noise, model, found.verdict if clear else "worse, not clearly"


def add_noise(model: Path, target: Path, noise: float, seed: int) -> None:
    """A copy of a model with Gaussian noise on each weight, in shares of its tensor's spread."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, target)
    generator = torch.Generator().manual_seed(seed)
    weights = load_file(target / "model.safetensors")
    for name, value in weights.items():
        if value.is_floating_point() and value.numel() > 1:
            drawn = torch.randn(value.shape, generator=generator)
            weights[name] = (value.float() + noise * value.float().std() * drawn).to(value.dtype)
    save_file(weights, target / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
