"""Batches: many inputs, the work on each, and a folder of results."""

from fervid.batch.folder import MANIFEST, Results
from fervid.batch.inputs import Input, InputList, find_inputs
from fervid.batch.records import Record
from fervid.batch.running import Batch, Ended, Event
from fervid.batch.work import FORMATS, Request
