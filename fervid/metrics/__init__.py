"""Metrics of predictions: counts that add, calibration, fitting on a validation set, the report.

A sample without a face counts as wrong. Figures come from counts pooled over folds, never from a mean of
means.
"""

from fervid.metrics.affect import affect
from fervid.metrics.counts import (
    NO_FACE,
    Calibration,
    Confusion,
    RiskCoverage,
    adaptive_ece,
    ece,
    risk_coverage,
)
from fervid.metrics.fitting import fit_temperature, fit_weights
from fervid.metrics.groups import as_markdown, by_group
from fervid.metrics.predictions import Predictions, confidence, predicted, probabilities
from fervid.metrics.report import LEVEL, bootstrap, brier, interval, log_loss, report, resampled, rows
