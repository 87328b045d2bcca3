from dataclasses import replace

import pytest

from bertops.evaluation.bias import GroupGap
from bertops.evaluation.slices import Slice
from bertops.registry import gates
from bertops.registry.gates import Evidence, GateResult, run_gate, run_gates
from bertops.registry.params import GateParams
from tests.unit.registry.comparisons import comparison

GOOD = Evidence(
    score="accuracy",
    value=0.82,
    low=0.80,
    high=0.84,
    documents=1000,
    floor=0.5,
    against_control=comparison("better"),
    against_champion=comparison("better"),
    slices=(),
    gaps=(),
    leaked=0,
)


def piece(standing, value="short"):
    p_value = {"worse": 0.001, "no difference shown": 0.4, "too small": None}[standing]
    return Slice("length", value, 200, "accuracy", 0.7, 0.65, 0.75, 0.8, p_value, standing)


def failed(evidence, has_champion=True, **params):
    results = run_gates(evidence, GateParams(**params), has_champion)
    return [result.gate for result in results if not result.passed]


def test_good_evidence_passes_every_gate():
    assert failed(GOOD) == []


def test_the_whole_interval_must_clear_the_majority():
    assert failed(replace(GOOD, floor=0.79)) == []
    assert failed(replace(GOOD, floor=0.80)) == ["beats_majority"]
    assert failed(replace(GOOD, floor=0.81)) == ["beats_majority"]


def test_where_lower_is_better_the_far_end_must_clear_the_baseline():
    loss = replace(GOOD, score="loss", value=2.0, low=1.9, high=2.1, higher_is_better=False)
    assert failed(replace(loss, floor=2.2)) == []
    assert failed(replace(loss, floor=2.05)) == ["beats_majority"]


@pytest.mark.parametrize("verdict", ["better", "not worse", "inconclusive"])
def test_the_control_stops_only_a_candidate_that_is_worse(verdict):
    assert failed(replace(GOOD, against_control=comparison(verdict))) == []
    worse = replace(GOOD, against_control=comparison("worse"))
    assert failed(worse) == ["not_worse_than_control"]


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        ("better", {"better"}),
        ("not_worse", {"better", "not worse"}),
        ("not_significantly_worse", {"better", "not worse", "inconclusive"}),
    ],
)
def test_what_the_comparison_with_the_champion_must_show(wanted, passing):
    for verdict in ("better", "not worse", "inconclusive", "worse"):
        evidence = replace(GOOD, against_champion=comparison(verdict))
        expected = [] if verdict in passing else ["against_champion"]
        assert failed(evidence, against_champion=wanted) == expected


@pytest.mark.parametrize(
    ("missing", "gate"),
    [
        ("floor", "beats_majority"),
        ("against_control", "not_worse_than_control"),
        ("against_champion", "against_champion"),
        ("slices", "no_slice_worse"),
        ("leaked", "clean_of_test_data"),
    ],
)
def test_missing_evidence_never_passes(missing, gate):
    assert failed(replace(GOOD, **{missing: None})) == [gate]


def test_one_slice_that_got_worse_blocks_and_is_named():
    evidence = replace(GOOD, slices=(piece("no difference shown"), piece("worse", "long")))
    results = {r.gate: r for r in run_gates(evidence, GateParams(), True)}
    assert not results["no_slice_worse"].passed
    assert "length long: accuracy 0.800 → 0.700 on 200 documents" in results["no_slice_worse"].said


def test_slices_too_small_to_judge_do_not_block_and_are_counted():
    evidence = replace(GOOD, slices=(piece("no difference shown"), piece("too small")))
    results = {r.gate: r for r in run_gates(evidence, GateParams(), True)}
    assert results["no_slice_worse"].passed
    assert "1 are too small to judge" in results["no_slice_worse"].said


def gap(standing):
    return GroupGap(
        "gender", ("women", "men"), (300, 300), (0.7, 0.8), (0.5, 0.5), (0.7, 0.8), (0.3, 0.2),
        -0.1, -0.14, -0.06, standing,
    )  # fmt: skip


def test_a_mean_over_seeds_is_called_one():
    def said(seeds):
        evidence = replace(GOOD, against_control=replace(comparison("better"), seeds=seeds))
        return gates.not_worse_than_control(evidence, GateParams()).said

    assert "0.800 → 0.820 (mean of 3 seeds each), difference" in said((3, 3))
    assert "0.800 → 0.820 (mean of 3 → 1 seeds), difference" in said((1, 3))
    assert "0.800 → 0.820, difference" in said((1, 1))
    assert "the same 1,000 documents" in said((1, 1))


def test_a_gap_between_groups_blocks_only_where_it_is_asked_for():
    wide = replace(GOOD, gaps=(gap("no gap"), gap("gap")))
    assert failed(wide) == []
    assert failed(wide, no_group_gap=True) == ["no_group_gap"]
    for nothing_shown in (None, (), (gap("too small"),)):
        unknown = replace(GOOD, gaps=nothing_shown)
        assert failed(unknown, no_group_gap=True) == ["no_group_gap"]
    fine = replace(GOOD, gaps=(gap("no gap"), gap("not ruled out"), gap("too small")))
    assert failed(fine, no_group_gap=True) == []


def test_a_worse_slice_is_told_by_the_score_of_its_task():
    worse = replace(piece("worse"), score="entity_f1")
    said = gates.no_slice_worse(replace(GOOD, slices=(worse,)), GateParams()).said
    assert "length short: entity_f1 0.800 → 0.700" in said


def test_one_leaked_document_is_one_too_many():
    (result,) = (r for r in run_gates(replace(GOOD, leaked=1), GateParams(), False) if not r.passed)
    assert result.gate == "clean_of_test_data"
    assert "1 test documents" in result.said


def test_without_a_champion_there_is_nothing_to_compare_with():
    assert failed(replace(GOOD, against_champion=None), has_champion=False) == []


def test_a_gate_that_is_off_is_not_asked():
    poor = replace(GOOD, floor=0.99, leaked=5)
    assert failed(poor, beats_majority=False, clean_of_test_data=False) == []


def test_all_gates_speak_even_after_one_has_refused():
    poor = replace(GOOD, floor=0.99, leaked=5, against_champion=comparison("worse"))
    assert failed(poor) == ["beats_majority", "clean_of_test_data", "against_champion"]


def test_a_gate_that_crashes_says_no():
    def crash(evidence: Evidence, params: GateParams) -> GateResult:
        raise ZeroDivisionError("0/0")

    result = run_gate("broken", crash, GOOD, GateParams())
    assert not result.passed
    assert "ZeroDivisionError: 0/0" in result.said


def test_numbers_that_are_none_make_a_gate_say_no_and_not_crash_the_rest():
    broken = replace(GOOD, low=None)
    results = {r.gate: r for r in run_gates(broken, GateParams(), True)}
    assert not results["beats_majority"].passed
    assert "the gate itself failed" in results["beats_majority"].said
    assert results["against_champion"].passed


def test_nan_never_passes():
    assert failed(replace(GOOD, low=float("nan"))) == ["beats_majority"]


def test_every_gate_has_a_paragraph_on_what_to_do_when_it_says_no(repository):
    told = (repository / gates.HOWTO).read_text()
    every = GateParams(no_group_gap=True)
    names = [*gates.gates_for(every, has_champion=True), "signature", "evidence"]
    for name in names:
        assert f"\n## {name.replace('_', '-')}\n" in told
