"""Synthetic faces: action units over time, photographs that follow them, and drawn people.

`activity` returns the weight of each action unit at a time, `move` turns weights into 68 landmarks as the
camera sees them, and a `Puppet` bends a photograph to landmarks. `trajectory` makes the motion of a `person`
who shows an emotion, as a tracker would report it, `draw` draws it, and `samples` and `strip_of` make a
dataset of it.
"""

from fervid.synth.actions import (
    TOUCHING,
    Action,
    Points,
    action_units,
    activity,
    ease,
    mirror,
    move,
    neutral_face,
    part,
    view_of,
)
from fervid.synth.drawing import Painter, draw
from fervid.synth.motion import acted_part, displacements, grown, in_motion
from fervid.synth.people import UNITS, Person, person
from fervid.synth.puppet import Puppet, carry, eye_distance, similarity
from fervid.synth.sequences import DIFFICULTIES, RECIPES, Difficulty, Trajectory, trajectory
from fervid.synth.strips import acted, samples, strip_of
