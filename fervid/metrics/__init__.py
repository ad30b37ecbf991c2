"""Metrics of predictions: counts that can be added, calibration on a validation set, and the report.

A sample without a face counts as wrong. Figures are computed from counts that are pooled over folds, never as
a mean of means.
"""

from fervid.metrics.affect import affect
from fervid.metrics.calibration import fit_temperature, fit_weights
from fervid.metrics.counts import (
    NO_FACE,
    Calibration,
    Confusion,
    RiskCoverage,
    adaptive_ece,
    ece,
    risk_coverage,
)
from fervid.metrics.groups import as_markdown, by_group
from fervid.metrics.predictions import Predictions, confidence, predicted, probabilities
from fervid.metrics.report import LEVEL, bootstrap, brier, interval, log_loss, report, resampled, rows
