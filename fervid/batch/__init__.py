"""Many inputs at once: which they are, what is done with each, and a folder of results."""

from fervid.batch.folder import MANIFEST, Results
from fervid.batch.inputs import Chosen, Input, choose
from fervid.batch.records import Record
from fervid.batch.running import Advanced, Batch, Begun, Ended, Event
from fervid.batch.work import FORMATS, Wish
