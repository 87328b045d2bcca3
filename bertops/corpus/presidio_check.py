"""Whether Presidio can find what it is asked for, told before anything runs."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from bertops.corpus.params import CorpusParams, PresidioParams
from bertops.corpus.presidio import entity_of_label, labels_of, pipeline_of, recognizers
from bertops.errors import UsageError
from bertops.problems import did_you_mean
from bertops.storage import hash_tree


class CannotFind(UsageError):
    """Presidio was asked for what it cannot find with these models and languages."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        lines = [f"  {entity}   {problem}" for entity, problem in problems.items()]
        super().__init__(
            "\n".join(["corpus.pii.presidio.entities: not all of them can be found", *lines])
        )


def prepare(params: CorpusParams) -> dict[str, str]:
    """See, before anything runs, that Presidio can find all it is asked for.

    Returns:
        Versions of what decides what is found: results are keyed by them. Empty when it is off.

    Raises:
        PackageMissing: the extra or a spaCy model is not installed.
        CannotFind: an unknown entity, one that needs a model in a language that has none, or one
            that only documents hold whose language is not kept.
    """
    asked = params.pii.presidio
    if not (params.pii.enabled and asked.entities):
        return {}
    by_model = {
        code: frozenset(labels_of(pipeline_of(code, model)).values())
        for code, model in asked.models.items()
        if model is not None
    }
    kept = _kept_languages(params)
    problems = {
        entity: problem
        for entity in asked.entities
        if (problem := _obstacle(entity, asked, by_model, kept))
    }
    if problems:
        raise CannotFind(problems)
    packages = ("presidio-analyzer", "phonenumbers", "spacy", "tldextract")
    return {package: version(package) for package in packages} | {
        f"spacy model {code}": hash_tree(Path(model)) if Path(model).exists() else version(model)
        for code, model in asked.models.items()
        if model is not None
    }


def _kept_languages(params: CorpusParams) -> frozenset[str] | None:
    """Languages that some source keeps; None: any."""
    keeps = [
        params.language.keep if source.languages is None else source.languages
        for source in params.sources
    ]
    if not params.language.enabled or not all(keeps):
        return None
    return frozenset(code for keep in keeps for code in keep)


def _obstacle(
    entity: str,
    params: PresidioParams,
    by_model: Mapping[str, frozenset[str]],
    kept: frozenset[str] | None,
) -> str | None:
    """Why an entity cannot be found in the languages that are kept; None: it can."""
    patterns = [recognizer for recognizer in recognizers() if recognizer.entity == entity]
    if any(recognizer.languages is None for recognizer in patterns):
        return None
    by_pattern = {code for recognizer in patterns for code in recognizer.languages or ()}
    found_in = by_pattern | {code for code, entities in by_model.items() if entity in entities}
    if not found_in:
        named = set(entity_of_label().values())
        if entity in named:
            return (
                "needs a spaCy model that finds it: name one for each language under "
                "corpus.pii.presidio.models, as in {en: en_core_web_sm}"
            )
        known = {recognizer.entity for recognizer in recognizers()} | named
        return f"unknown{did_you_mean(entity.upper(), known.union(*by_model.values()))}"
    if kept is None:
        return None
    if by_pattern:
        where = ", ".join(sorted(found_in))
        problem = f"is sought in documents of language {where}, and corpus.language.keep has none"
        return None if found_in & kept else problem
    lacking = sorted(code for code in kept - found_in if params.models.get(code, "") is not None)
    if not lacking:
        return None
    return (
        f"no model finds it in {', '.join(lacking)}: name one under corpus.pii.presidio.models, "
        f"or write {lacking[0]}: null there to leave it in such documents"
    )
