"""The few errors fervid raises on purpose; `cli/` alone catches them and turns them into one line."""


class FervidError(Exception):
    """Something a person can mend; the message says what is wrong and what to do next."""

    exit_code = 1


class UsageError(FervidError):
    """The request makes no sense, whatever the file holds."""

    exit_code = 2


class InputError(FervidError):
    """An input cannot be read as what it is meant to be."""


class OutputError(FervidError):
    """A result cannot be written where it was asked for."""


class ModelError(FervidError):
    """A model is unknown, damaged, or cannot run as asked."""


class WorkerError(FervidError):
    """A worker process died or stood still over a piece of work, and did so again."""


class UnexpectedError(FervidError):
    """A mistake of fervid's own, met where others' work should go on."""
