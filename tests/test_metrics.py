"""Test figures of predictions by hand, against slow references, and by properties that always hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fervid import metrics
from fervid.errors import InputError, ModelError
from fervid.labels import EMOTIONS, VALENCE_AROUSAL
from fervid.metrics import Calibration, Confusion, Predictions
from fervid.types import Array, Floats, Ints

ABC = ("anger", "disgust", "fear")
SEEDS = st.integers(0, 2**32 - 1)


def predictions(
    logits: Array | Mapping[str, Array],
    truth: Sequence[int] | Ints,
    labels: tuple[str, ...] = ABC,
    model_labels: tuple[str, ...] | None = None,
    subjects: Sequence[str] = (),
    fold: Sequence[int] = (),
    no_face: Sequence[int] = (),
    rejected: Sequence[int] = (),
    temperature: float | Array = 1.0,
) -> Predictions:
    """Return predictions with defaults for the rest; `no_face` and `rejected` are rows."""
    if not isinstance(logits, Mapping):
        logits = {"joint": logits}
    count = len(truth)
    rows = np.arange(count)
    names = tuple(f"clip {row}" for row in rows)
    return Predictions(
        labels=labels,
        model_labels=model_labels or labels,
        names=names,
        subjects=tuple(subjects) or names,
        fold=np.array(fold or [0] * count, np.int64),
        truth=np.array(truth, np.int64),
        has_face=~np.isin(rows, no_face),
        rejected=np.isin(rows, rejected),
        logits={name: np.asarray(values, np.float32) for name, values in logits.items()},
        temperature=np.full(count, temperature, np.float32),
        headline=next(iter(logits)),
    )


def logits_for(columns: Sequence[int], classes: int = 3, strength: float = 4.0) -> Floats:
    """Return logits that predict these labels."""
    return (strength * np.eye(classes)[list(columns)]).astype(np.float32)


def drawn(seed: int, count: int = 40, classes: int = 4) -> Predictions:
    """Return random predictions of several subjects and folds, some right, some without a face."""
    r = np.random.default_rng(seed)
    truth = r.integers(classes, size=count)
    logits = {name: r.normal(size=(count, classes)) * 3 for name in ("c3d", "joint")}
    logits["joint"][np.arange(count), truth] += 2
    return predictions(
        logits,
        truth,
        labels=EMOTIONS[:classes],
        subjects=[f"s{index}" for index in r.integers(5, size=count)],
        fold=r.integers(3, size=count).tolist(),
        no_face=r.integers(count, size=4).tolist(),
        rejected=r.integers(count, size=6).tolist(),
        temperature=r.uniform(0.5, 3, count),
    )


# Of anger, two are right and one has no face; of disgust, one is right and one taken for anger; no fear.
BY_HAND = predictions(logits_for([0, 0, 2, 1, 0]), [0, 0, 0, 1, 1], no_face=[2])


def test_a_confusion_by_hand() -> None:
    confusion = Confusion.of(ABC, BY_HAND.truth, metrics.predicted(BY_HAND))
    np.testing.assert_array_equal(confusion.counts, [[2, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
    assert confusion.n == 5
    assert confusion.accuracy == pytest.approx(3 / 5)
    np.testing.assert_allclose(confusion.recall, [2 / 3, 1 / 2, np.nan])
    np.testing.assert_allclose(confusion.precision, [2 / 3, 1, np.nan])
    assert confusion.mean_recall == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert confusion.macro_f1 == pytest.approx((4 / 6 + 2 / 3) / 2)


def test_a_label_that_is_only_predicted_counts_in_no_mean() -> None:
    confusion = Confusion.of(ABC, np.array([0, 0, 1]), np.array([0, 2, 1]))
    assert confusion.mean_recall == pytest.approx((1 / 2 + 1) / 2)
    assert confusion.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert confusion.precision[2] == 0


@given(SEEDS, st.integers(0, 40))
def test_confusions_add(seed: int, cut: int) -> None:
    whole = drawn(seed)
    truth, answer = whole.truth, metrics.predicted(whole)
    parts = [Confusion.of(whole.labels, truth[rows], answer[rows]) for rows in (slice(cut), slice(cut, None))]
    together = Confusion.of(whole.labels, truth, answer)
    np.testing.assert_array_equal((parts[0] + parts[1]).counts, together.counts)
    assert 0 <= together.accuracy <= 1 and 0 <= together.mean_recall <= 1 and 0 <= together.macro_f1 <= 1
    assert together.accuracy == pytest.approx(np.mean(truth == answer))


def test_confusions_of_other_labels_do_not_add() -> None:
    confusion = Confusion.of(ABC, np.array([0]), np.array([0]))
    with pytest.raises(ValueError, match="different labels"):
        confusion + Confusion.of(ABC[::-1], np.array([0]), np.array([0]))


@given(SEEDS)
def test_scores_are_shares_and_temperature_changes_no_answer(seed: int) -> None:
    given = drawn(seed)
    hot = replace(given, temperature=given.temperature * np.float32(7))
    np.testing.assert_array_equal(metrics.predicted(given), metrics.predicted(hot))
    scores, soft = metrics.probabilities(given), metrics.probabilities(hot)
    np.testing.assert_allclose(scores[given.has_face].sum(axis=1), 1)
    assert np.isnan(scores[~given.has_face]).all()
    np.testing.assert_array_equal(
        scores[given.has_face].argmax(axis=1), metrics.predicted(given)[given.has_face]
    )
    assert (soft[given.has_face].max(axis=1) < scores[given.has_face].max(axis=1)).all()
    assert (metrics.confidence(given)[~given.has_face] == 0).all()


def test_scores_are_renormalised_over_the_labels_that_both_have() -> None:
    model_labels = ("contempt", "fear", "anger")
    logits = np.log([[0.5, 0.3, 0.2]])
    given = predictions(logits, [0], labels=ABC, model_labels=model_labels)
    np.testing.assert_allclose(metrics.probabilities(given), [[0.4, 0, 0.6]], rtol=1e-6)
    assert metrics.predicted(given).tolist() == [2]


def test_the_temperature_is_the_rows_own() -> None:
    given = predictions(logits_for([0, 0]), [0, 0], temperature=np.array([1, 2]))
    top = metrics.confidence(given)
    assert top == pytest.approx([np.exp(4) / (np.exp(4) + 2), np.exp(2) / (np.exp(2) + 2)])
    assert metrics.confidence(given, temperature=False) == pytest.approx([top[0]] * 2)


def test_a_label_that_the_model_does_not_know_is_wrong_and_remarked() -> None:
    given = predictions(logits_for([0, 1, 1], classes=2), [0, 1, 2], model_labels=("anger", "disgust"))
    report = metrics.report(given)
    assert report["accuracy"] == pytest.approx(2 / 3)
    fear = {"recall": 0, "precision": None, "f1": 0, "support": 1, "interval": None}
    assert report["per_class"]["fear"] == fear
    assert "does not know fear: 1 of 3 samples" in report["remarks"][0]
    sure = np.exp(4) / (np.exp(4) + 1)
    assert report["nll"] == pytest.approx(-np.log(sure))  # of the two that it knows
    assert report["brier"] == pytest.approx((4 * (1 - sure) ** 2 + (1 - sure) ** 2 + sure**2 + 1) / 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_labels": ("x", "y", "z")}, ModelError, "none of the data's labels"),
        ({"headline": "fused"}, ValueError, "headline fused"),
        ({"truth": np.full(5, 3)}, ValueError, "truth should index 3 labels"),
        ({"temperature": np.zeros(5, np.float32)}, ValueError, "positive"),
        ({"subjects": ("one",)}, ValueError, "as many subjects"),
        ({"logits": {"joint": np.zeros((5, 2), np.float32)}}, ValueError, "logits of joint"),
        ({"logits": {"joint": np.full((5, 3), np.nan, np.float32)}}, ModelError, "scores of clip 0 are not"),
    ],
)
def test_invalid_predictions_are_an_error(change: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        replace(BY_HAND, **change)


def test_logits_without_a_face_do_not_matter() -> None:
    logits = BY_HAND.logits["joint"].copy()
    logits[2] = np.nan
    assert metrics.report(replace(BY_HAND, logits={"joint": logits})) == metrics.report(BY_HAND)


def test_folds_are_pooled() -> None:
    whole = drawn(5)
    parts = [
        predictions(
            {name: values[rows] for name, values in whole.logits.items()},
            whole.truth[rows],
            labels=whole.labels,
            subjects=[whole.subjects[row] for row in rows],
            fold=whole.fold[rows].tolist(),
            no_face=np.flatnonzero(~whole.has_face[rows]).tolist(),
            temperature=whole.temperature[rows],
        )
        for rows in (np.flatnonzero(whole.fold == fold) for fold in range(3))
    ]
    order = np.argsort(whole.fold, kind="stable")
    joined = Predictions.joined(parts)
    assert joined.subjects == tuple(whole.subjects[row] for row in order)
    for name in ("fold", "truth", "has_face", "temperature"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name)[order])
    np.testing.assert_array_equal(joined.logits["c3d"], whole.logits["c3d"][order])
    assert metrics.report(joined)["accuracy"] == metrics.report(whole)["accuracy"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("anger", "disgust", "sadness")}, "different labels"),
        ({"logits": {"joint": BY_HAND.logits["joint"], "c3d": BY_HAND.logits["joint"]}}, "different streams"),
    ],
)
def test_predictions_of_another_kind_are_not_pooled(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictions.joined([BY_HAND, replace(BY_HAND, **change)])


# Calibration


def test_ece_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 0.5])
    right = np.array([1, 1, 1, 0, 1, 0], bool)
    assert metrics.ece(confidence, right) == pytest.approx(4 / 6 * 0.2)
    assert metrics.ece(confidence, right, bins=1) == pytest.approx(abs(4 / 6 - 4.8 / 6))
    assert np.isnan(metrics.ece(confidence[:0], right[:0]))


def test_a_bin_includes_its_upper_edge() -> None:
    bins = Calibration.of(np.array([0.0, 0.25, 0.26, 0.5, 1.0]), np.ones(5, bool), bins=4)
    assert bins.count.tolist() == [2, 2, 0, 1]


def slow_ece(confidence: Array, right: Array, edges: Sequence[float]) -> float:
    total = 0.0
    for low, high in pairwise(edges):
        rows = [row for row, value in enumerate(confidence) if low < value <= high]
        if rows:
            gap = abs(sum(right[row] for row in rows) - sum(confidence[row] for row in rows))
            total += gap / len(confidence)
    return total


@given(SEEDS, st.integers(1, 30))
def test_ece_is_the_slow_one(seed: int, bins: int) -> None:
    r = np.random.default_rng(seed)
    confidence, right = r.uniform(1e-6, 1, 50), r.random(50) < 0.6
    edges = [index / bins for index in range(bins + 1)]
    assert metrics.ece(confidence, right, bins) == pytest.approx(slow_ece(confidence, right, edges))
    ranks = np.sort(confidence)
    equal = [0.0] + [ranks[-(-50 * index // bins) - 1] for index in range(1, bins)] + [1.0]
    assert metrics.adaptive_ece(confidence, right, bins) == pytest.approx(slow_ece(confidence, right, equal))


def test_equal_confidences_share_a_bin_in_any_order() -> None:
    confidence, right = np.full(10, 0.7), np.arange(10) < 7
    assert metrics.adaptive_ece(confidence, right) == pytest.approx(0)
    assert metrics.adaptive_ece(confidence, right[::-1]) == pytest.approx(0)


def test_calibrations_add() -> None:
    r = np.random.default_rng(2)
    confidence, right = r.random(60), r.random(60) < 0.5
    both = Calibration.of(confidence[:20], right[:20]) + Calibration.of(confidence[20:], right[20:])
    assert both.error == pytest.approx(metrics.ece(confidence, right))


def test_calibrated_draws_have_a_small_error_and_biased_ones_a_large_one() -> None:
    r = np.random.default_rng(3)
    confidence = r.uniform(0.2, 1, 20_000)
    right = r.random(20_000) < confidence
    for error in (metrics.ece, metrics.adaptive_ece):
        assert error(confidence, right) < 0.015
        assert error(confidence**3, right) == pytest.approx(np.mean(confidence - confidence**3), abs=0.02)


def test_risk_and_coverage_by_hand() -> None:
    curve = metrics.risk_coverage(np.array([0.3, 0.9, 0.8, 0.6]), np.array([0, 1, 0, 1], bool))
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    assert curve.area == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)
    accuracy = [curve.accuracy(share) for share in (1, 0.75, 0.6, 0.25)]
    assert accuracy == pytest.approx([1 / 2, 2 / 3, 2 / 3, 1])


@given(SEEDS)
def test_risk_among_equal_confidences_is_the_mean_over_their_orders(seed: int) -> None:
    r = np.random.default_rng(seed)
    confidence, right = r.integers(3, size=5) / 3, r.random(5) < 0.5
    fair = [order for order in map(list, permutations(range(5))) if (np.diff(confidence[order]) <= 0).all()]
    risks = [np.cumsum(~right[order]) / np.arange(1, 6) for order in fair]
    np.testing.assert_allclose(metrics.risk_coverage(confidence, right).risk, np.mean(risks, axis=0))


# What is fitted


def labelled(logits: Array, seed: int) -> Ints:
    """Draw labels by the probabilities of logits at a temperature of 1."""
    powers = np.exp(logits)
    shares = np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)
    return (np.random.default_rng(seed).random((len(logits), 1)) > shares).sum(axis=1)


@pytest.mark.parametrize("known", [0.2, 1.0, 3.0])
def test_a_known_temperature_is_recovered(known: float) -> None:
    logits = np.random.default_rng(0).normal(size=(20_000, 5)) * 2
    truth = labelled(logits, seed=1)
    assert metrics.fit_temperature(logits * known, truth) == pytest.approx(known, rel=0.04)
    powers = np.exp(logits)
    shares = powers / powers.sum(axis=1, keepdims=True)
    assert metrics.fit_temperature(logits * known, shares) == pytest.approx(known, rel=1e-5)


@given(SEEDS)
def test_no_other_temperature_is_likelier(seed: int) -> None:
    r = np.random.default_rng(seed)
    logits, truth = r.normal(size=(12, 3)) * r.uniform(0.1, 30), r.integers(3, size=12)

    def loss(temperature: float) -> float:
        given = predictions(logits, truth, temperature=temperature)
        return metrics.log_loss(given)

    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 25))
    best = metrics.fit_temperature(logits, truth)
    assert 0.05 <= best <= 20
    assert loss(best) <= min(map(loss, grid)) + 1e-5


def test_temperatures_stay_in_range() -> None:
    truth = np.array([0, 1, 2])
    low, equal = logits_for([0, 1, 2], strength=0.4), logits_for([0, 1, 2], strength=400)
    assert metrics.fit_temperature(low, truth) == pytest.approx(0.05)
    assert metrics.fit_temperature(equal, truth) >= 0.05  # all are equally likely
    assert metrics.fit_temperature(logits_for([1, 2, 0]), truth) == pytest.approx(20)


def test_nothing_to_fit_on_is_an_error() -> None:
    with pytest.raises(InputError, match="shows a face"):
        metrics.fit_temperature(np.empty((0, 3)), np.empty(0, np.int64))
    with pytest.raises(ValueError, match="no stream"):
        metrics.fit_weights({}, np.array([0]))


def right(streams: Mapping[str, Array], weights: Mapping[str, float], truth: Ints) -> int:
    total = sum(weights[name] * logits for name, logits in streams.items())
    assert isinstance(total, np.ndarray)
    return int((total.argmax(axis=1) == truth).sum())


@pytest.mark.parametrize("count", [2, 3, 5])
def test_weighted_streams_are_no_worse_than_any_alone_or_their_plain_sum(count: int) -> None:
    r = np.random.default_rng(count)
    truth = r.integers(4, size=300)
    streams = {}
    for index in range(count):
        logits = r.normal(size=(300, 4))
        logits[np.arange(300), truth] += 0.4 + 0.3 * index
        streams[f"stream {index}"] = logits * 10.0 ** (index - 1)  # scales that do not compare
    weights = metrics.fit_weights(streams, truth)
    assert list(weights) == list(streams) and min(weights.values()) >= 0
    alone = [right({name: logits}, {name: 1}, truth) for name, logits in streams.items()]
    own = {name: 1 / metrics.fit_temperature(logits, truth) for name, logits in streams.items()}
    assert right(streams, weights, truth) >= max(alone)
    assert right(streams, weights, truth) >= right(streams, own, truth)
    assert right(streams, weights, truth) > max(alone) + 10  # they err apart, so the sum gains


def test_a_stream_of_noise_gets_almost_no_weight() -> None:
    r = np.random.default_rng(1)
    truth = r.integers(3, size=400)
    good = logits_for(truth.tolist()) + r.normal(size=(400, 3))
    noise = r.normal(size=(400, 3)) * 50
    weights = metrics.fit_weights({"good": good, "noise": noise}, truth)
    assert weights["noise"] * np.abs(noise).mean() < 0.2 * weights["good"] * np.abs(good).mean()


def test_equally_right_weights_are_chosen_by_likelihood() -> None:
    r = np.random.default_rng(8)
    truth = r.integers(3, size=60)
    first, second = r.uniform(1, 3, (2, 60, 1))  # both are always right, each sure of other clips
    logits = logits_for(truth.tolist(), strength=1)
    streams = {"a": logits * first, "b": logits * second}
    # One clip each is wrong, so that T is inside its range.
    streams["a"][0] = logits_for([(truth[0] + 1) % 3], strength=0.5)
    streams["b"][0] = logits_for([(truth[0] + 2) % 3], strength=0.5)

    def loss(a: float, b: float) -> float:
        total = a * streams["a"] + b * streams["b"]
        temperature = metrics.fit_temperature(total, truth)
        return metrics.log_loss(predictions(total, truth, temperature=temperature))

    weights = metrics.fit_weights(streams, truth)
    assert right(streams, weights, truth) == right({"a": streams["a"]}, {"a": 1}, truth) == 59
    assert loss(weights["a"], weights["b"]) < min(loss(1, 0), loss(0, 1)) - 0.005


# The report


REQUIRED = ("accuracy", "mean_recall", "macro_f1", "ece", "n", "n_no_face", "labels", "confusion", "streams")


def test_a_report_by_hand() -> None:
    given = replace(BY_HAND, rejected=np.array([0, 0, 0, 0, 1], bool), fold=np.array([0, 0, 0, 1, 1]))
    report = metrics.report(given)
    assert set(REQUIRED) <= set(report)
    assert (report["n"], report["n_no_face"], report["labels"]) == (5, 1, list(ABC))
    assert report["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert report["confusion_no_face"] == [1, 0, 0]
    assert report["accuracy"] == pytest.approx(3 / 5)
    assert report["detected"] == {"n": 4, "accuracy": 3 / 4, "mean_recall": 3 / 4}
    assert report["after_rejection"] == {"coverage": 3 / 5, "n": 3, "accuracy": 1, "mean_recall": 1}
    assert report["per_class"]["fear"] == dict.fromkeys(("recall", "precision", "f1", "interval")) | {
        "support": 0
    }
    assert report["folds"]["n"] == 2
    folds = report["folds"]["accuracy"]
    assert folds["mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert folds["sd"] == pytest.approx(abs(2 / 3 - 1 / 2) / 2**0.5)
    sure = np.exp(4) / (np.exp(4) + 2)
    assert report["ece"] == pytest.approx(abs(sure - 3 / 4))
    accuracy_at = report["risk_coverage"]["accuracy_at"]
    assert accuracy_at == pytest.approx({"100%": 3 / 5, "90%": 3 / 5, "80%": 3 / 4, "50%": 3 / 4})
    assert report["streams"]["joint"]["accuracy"] == report["accuracy"]
    remarks = " ".join(report["remarks"])
    assert "No face was found in 1 of 5" in remarks and "rejection rule: 1 of 5" in remarks
    assert "Subjects are unknown" in remarks


@given(SEEDS)
def test_a_report_is_json_of_shares(seed: int) -> None:
    given = drawn(seed)
    report = metrics.report(given, rounds=20)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["n"] == sum(map(sum, report["confusion"])) + sum(report["confusion_no_face"])
    assert report["n_no_face"] == (~given.has_face).sum()
    for name in ("accuracy", "mean_recall", "macro_f1", "ece", "ece_before_temperature", "adaptive_ece"):
        assert 0 <= report[name] <= 1
    assert report["risk_coverage"]["accuracy_at"]["100%"] == pytest.approx(report["accuracy"])
    assert list(report["streams"]) == list(given.logits)
    assert report["streams"][given.headline]["ece"] == report["ece"]
    assert report["streams"]["joint"]["ece"] is None  # the temperature is the headline's


def test_a_report_of_nothing_has_no_figures() -> None:
    for empty in (predictions(np.empty((0, 3)), []), predictions(logits_for([0, 1]), [0, 1], no_face=[0, 1])):
        report = metrics.report(empty)
        json.dumps(report, allow_nan=False)
        assert report["ece"] is None and report["detected"]["accuracy"] is None and report["nll"] is None
        assert report["accuracy"] == (None if len(empty) == 0 else 0)


def test_the_report_repeats() -> None:
    assert metrics.report(drawn(1)) == metrics.report(drawn(1))


def test_the_interval_contains_the_figure_and_follows_subjects() -> None:
    r = np.random.default_rng(4)
    subject = np.repeat(np.arange(40), 10)
    ability = r.random(40)  # subjects differ much, clips of one subject little
    truth = r.integers(3, size=400)
    wrong = (truth + 1) % 3
    answers = np.where(r.random(400) < ability[subject] ** 0.2, truth, wrong)
    by_subject = predictions(logits_for(answers.tolist()), truth, subjects=[f"s{index}" for index in subject])
    interval = metrics.bootstrap(by_subject)
    assert interval is not None
    for name, (low, high) in interval.items():
        assert low < metrics.report(by_subject, rounds=2)[name] < high
    solved = np.where(np.isin(subject, np.flatnonzero(ability > 0.5)), truth, wrong)
    grouped = predictions(logits_for(solved.tolist()), truth, subjects=by_subject.subjects)
    alone = metrics.bootstrap(replace(grouped, subjects=grouped.names))
    together = metrics.bootstrap(grouped)
    assert alone is not None and together is not None
    width = [high - low for low, high in (alone["accuracy"], together["accuracy"])]
    assert width[1] == pytest.approx(width[0] * 10**0.5, rel=0.2)


def test_the_interval_covers_the_truth_at_about_its_level() -> None:
    r = np.random.default_rng(6)
    held = 0
    for round in range(120):
        answers = predictions(logits_for(np.where(r.random(100) < 0.7, 0, 1).tolist()), [0] * 100)
        interval = metrics.bootstrap(answers, rounds=200, seed=round)
        assert interval is not None
        held += interval["accuracy"][0] <= 0.7 <= interval["accuracy"][1]
    assert 0.88 <= held / 120 <= 1


def test_one_subject_gives_no_interval() -> None:
    given = predictions(logits_for([0, 1]), [0, 1], subjects=["one", "one"])
    report = metrics.report(given)
    assert metrics.bootstrap(given) is None
    assert report["interval"]["accuracy"] is None and "one subject" in report["remarks"][-1]


def test_rows_of_predictions() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6]])
    given = predictions(logits, [0, 1], subjects=["ann", "bob"], fold=[0, 3], no_face=[1])
    header, table = metrics.rows(given)
    assert header == ["name", "subject", "fold", "label", "predicted", "confidence", "found", *ABC]
    assert list(table) == [
        ["clip 0", "ann", "0", "anger", "anger", "0.700000", "true", "0.700000", "0.200000", "0.100000"],
        ["clip 1", "bob", "3", "disgust", "", "", "false", "", "", ""],
    ]


def test_affect_compares_the_scores_with_annotations() -> None:
    sure = predictions(logits_for([0, 1, 2, 0], strength=50.0), [0, 1, 2, 0], no_face=[3])
    own = {f"clip {row}": VALENCE_AROUSAL[label] for row, label in enumerate(ABC)}
    perfect = metrics.affect(sure, own | {"clip 3": (1.0, 1.0), "other": (0.0, 0.0)})
    assert perfect is not None and perfect["n"] == 3
    assert perfect["valence"]["ccc"] == pytest.approx(1) and perfect["arousal"]["rmse"] == pytest.approx(0)
    shifted = metrics.affect(sure, {name: (valence + 0.3, 0.1) for name, (valence, _) in own.items()})
    assert shifted is not None
    assert shifted["valence"]["rmse"] == pytest.approx(0.3) and 0 < shifted["valence"]["ccc"] < 0.1
    assert shifted["arousal"]["ccc"] == pytest.approx(0)
    assert metrics.affect(sure, {"clip 0": (0.0, 0.0)}) is None
