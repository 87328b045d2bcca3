"""Knobs of registering and promotion."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from bertops.section import Section

Standing = Literal["better", "not_worse", "not_significantly_worse"]
Mode = Literal["off", "dry-run", "on"]


def license_text(license: str) -> str | None:
    """A licence in full, where bertops has its text."""
    file = Path(__file__).parent / "licenses" / f"{license.lower()}.txt"
    return file.read_text(encoding="utf-8") if file.is_file() else None


class GateParams(Section):
    """What a candidate must show. Every gate that is on has to pass."""

    beats_majority: bool = Field(
        True, description="The whole interval of the score lies above the majority class."
    )
    not_worse_than_control: bool = Field(
        True,
        description="Not significantly worse than the same architecture without pretraining.",
    )
    clean_of_test_data: bool = Field(
        True, description="No test document, nor a near copy, is in the pretraining corpus."
    )
    against_champion: Standing = Field(
        "better",
        description="What the comparison with the champion on today's test set must show: "
        "'better' (significantly, in a test with enough power), 'not_worse' (a loss beyond "
        "evaluation.compare.margin is ruled out) or 'not_significantly_worse' (no loss is "
        "proven; inconclusive passes).",
    )
    no_slice_worse: bool = Field(
        True,
        description="No slice of the test set is significantly worse than under the champion "
        "(exact McNemar, Holm-corrected); slices that are too small to judge do not count.",
    )
    no_group_gap: bool = Field(
        False,
        description="No two groups of evaluation.bias.groups differ in accuracy by more than "
        "evaluation.bias.max_gap, interval and all. The report shows the gaps in any case.",
    )


class RegistryParams(Section):
    """How versions are registered and promoted."""

    mode: Mode = Field(
        "on",
        description="'on' promotes what passes its gates, 'dry-run' only says what would happen, "
        "'off' registers without deciding.",
    )
    approval: bool = Field(
        False, description="A person must approve a version before it is promoted."
    )
    license: str = Field("apache-2.0", description="SPDX id of the models' licence.")
    license_file: str | None = Field(
        None,
        description="File with the text of that licence, relative to the project; apache-2.0 "
        "needs none.",
    )
    public_key: str | None = Field(
        None,
        description="PEM file, relative to the project, of the key that signs versions; when set, "
        "versions that it did not sign are neither promoted nor loaded.",
    )
    gates: GateParams = Field(default_factory=GateParams, description="What a candidate must show.")

    @model_validator(mode="after")
    def _license_has_a_text(self) -> Self:
        if self.license_file is None and license_text(self.license) is None:
            raise ValueError(
                f"no text of the licence {self.license!r} is here to go with the models; name a "
                "file with it in license_file"
            )
        return self
