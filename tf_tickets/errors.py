"""The errors that a user can mend; a script prints them as one line, without a traceback."""


class SettingError(ValueError):
    """An option or argument has a value that cannot work; the message says which would."""


class FileError(RuntimeError):
    """A file, folder or data set is missing, unreadable, damaged or not what was asked for."""


class DivergedError(ArithmeticError):
    """Training produced a NaN or an infinite value, so nothing may be pruned on it."""
