"""Measuring a model on faces that are covered, badly lit, blurred, compressed, small or turned."""

from fervid.train.robust.damages import DAMAGES, Damage
from fervid.train.robust.measure import Figure, measure
