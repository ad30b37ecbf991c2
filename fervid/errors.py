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
