"""How good predictions are: counts that add, calibration, what is fitted on a validation set, the report.

No face is no answer, and so a wrong one. Figures come from counts pooled over folds,
never from a mean of means.
"""

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
from fervid.metrics.predictions import Predictions, confidence, predicted, probabilities
from fervid.metrics.report import bootstrap, brier, log_loss, report, rows

__all__ = [
    "NO_FACE",
    "Calibration",
    "Confusion",
    "Predictions",
    "RiskCoverage",
    "adaptive_ece",
    "bootstrap",
    "brier",
    "confidence",
    "ece",
    "fit_temperature",
    "fit_weights",
    "log_loss",
    "predicted",
    "probabilities",
    "report",
    "risk_coverage",
    "rows",
]
