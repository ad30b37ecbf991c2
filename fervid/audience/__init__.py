"""An audience: the timelines of many viewers of one film, on the film's clock."""

from fervid.audience.analyze import Audience, Options, analyze
from fervid.audience.viewers import Viewer, viewer_of
