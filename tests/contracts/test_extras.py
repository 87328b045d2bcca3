"""What `make run` installs is enough to import everything, and less is enough to train: extras are
imported late, and the code that trains knows no orchestrator, tracker or data frame."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bertops.extras import PackageMissing, require

ROOT = Path(__file__).parents[2]
INSTALLED_BY_MAKE_RUN = ("flows", "quickstart")


def distributions(lines):
    """Names in requirements such as "peft>=0.21", as pip compares them."""
    return {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}


def modules_of_other_extras():
    """Modules that a fresh machine lacks after `make run`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    present = distributions(project["dependencies"]).union(
        *(distributions(extras[name]) for name in INSTALLED_BY_MAKE_RUN)
    )
    absent = distributions(line for lines in extras.values() for line in lines) - present
    return {
        module
        for module, owners in packages_distributions().items()
        if {owner.lower().replace("_", "-") for owner in owners} <= absent - {"bertops"}
    }


def imported_at_once(node):
    """Top-level modules that importing a file imports; not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield child.module.partition(".")[0]
        else:
            yield from imported_at_once(child)


def test_everything_imports_without_the_extras():
    extras = modules_of_other_extras()
    assert {"seqeval", "peft", "optuna"} <= extras
    files = [file for folder in ("bertops", "flows") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    early = {
        f"{file.relative_to(ROOT)}: {module}"
        for file in files
        for module in imported_at_once(ast.parse(file.read_text(encoding="utf-8")))
        if module in extras
    }
    assert not early


def test_a_missing_extra_is_named_with_the_command_that_brings_it():
    with pytest.raises(PackageMissing, match=r"'no_such_module'.*tagging needs it.*\[tasks\]"):
        require("tasks", "json", "no_such_module", reason="tagging needs it")


TRAIN_WITHOUT = """
import importlib.machinery, sys
from pathlib import Path

ABSENT = frozenset(sys.argv[2:])

class OnThisMachine(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in ABSENT else super().find_spec(name, path, target)

at = sys.meta_path.index(importlib.machinery.PathFinder)
sys.meta_path[at] = OnThisMachine
from tests import engine
work = Path(sys.argv[1])
engine.write_inputs(work)
params = engine.toy_params(3, optimizer={"name": "muon"})
assert engine.run(work, work, params).steps == 3
assert not ABSENT & set(sys.modules)
"""


def test_training_needs_no_orchestrator_tracker_or_data_frame(tmp_path):
    """Only embeddings that start from counts need more: scikit-learn, for its SVD."""
    absent = ["dvc", "mlflow", "prefect", "polars", "great_expectations"]
    absent += ["datasets", "pandas", "pyarrow", "sklearn", "scipy", "typer", "ray"]
    ran = subprocess.run(
        [sys.executable, "-c", TRAIN_WITHOUT, str(tmp_path), *absent],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BERTOPS_DEVICE": "cpu"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "encoder/model.safetensors").exists()
