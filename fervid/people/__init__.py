"""Person identity across shots: the best faces of a track, a person's tracks, and a person's name."""

from fervid.people.descriptors import APART, best, empty, merge
from fervid.people.gallery import Gallery, check_name, name_groups, nearest_names, read_gallery
from fervid.people.grouping import group_tracks, number_persons
from fervid.people.picture import Picture, choose
