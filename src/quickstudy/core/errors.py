"""What quickstudy raises. Every message says what was wrong, what was expected and what to do."""


class QuickstudyError(Exception):
    """Base of all errors that quickstudy raises on purpose; the command line prints it as one paragraph."""

    exit_code = 1


class UsageError(QuickstudyError, ValueError):
    """An argument, or a combination of arguments, that cannot work (way, shapes, options)."""

    exit_code = 2


class DataError(QuickstudyError):
    """Data that is missing, truncated, or not what its format promises."""

    exit_code = 3


class RunError(QuickstudyError):
    """A run folder or checkpoint that cannot be read, written or continued."""

    exit_code = 4


class DivergedError(QuickstudyError):
    """Training met a loss or gradient that is not finite."""

    exit_code = 5
