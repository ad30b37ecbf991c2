"""The errors that fervid raises on purpose; `cli/` catches them and prints them on one line."""


class FervidError(Exception):
    """A problem that the user can solve; the message explains it and says what to do next."""

    exit_code = 1


class UsageError(FervidError):
    """The command line is not valid."""

    exit_code = 2


class InputError(FervidError):
    """An input cannot be read."""


class OutputError(FervidError):
    """A result cannot be written to its path."""


class ModelError(FervidError):
    """A model is unknown, damaged, or cannot run on the device."""


class WorkerError(FervidError):
    """A worker died or got stuck on a task, and again on the second attempt."""


class UnexpectedError(FervidError):
    """A bug in fervid, reported as an error so that other inputs are still processed."""
