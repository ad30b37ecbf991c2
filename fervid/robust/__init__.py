"""How accuracy and calibration fall as faces are covered, badly lit, blurred, compressed, small or turned."""

from fervid.robust.damages import DAMAGES, Damage
from fervid.robust.measure import Figure, measure
