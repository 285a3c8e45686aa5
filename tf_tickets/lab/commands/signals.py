"""Ctrl-C and SIGTERM end a command with one line, whatever it is doing."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


class Stopped(KeyboardInterrupt):
    """A signal has stopped the command.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT):
        super().__init__(number)
        self.number = number


class Signals:
    """What the two signals do in a command.

    Until its work begins, whose folders want to be left tidily, and when the second one comes, they
    end the process at once: an import that is broken off by an exception may swallow it.

    Args:
        tell: writes a line for the user.
    """

    def __init__(self, tell: Callable[[str], None]):
        self.has_begun = False
        self._tell = tell
        self._num_seen = 0

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals inside a `with` block; once one has come, until the process ends."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _WORDS}
        self.listen()
        try:
            yield
        finally:
            if not self._num_seen:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals, also from TensorFlow, which takes SIGTERM and does nothing with it."""
        for number in _WORDS:
            signal.signal(number, self._handle)

    def _handle(self, number, frame):
        self._num_seen += 1
        if self.has_begun and self._num_seen == 1:
            raise Stopped(number)
        if self._num_seen == 1:
            self._tell(last_words(number))
        end_process(128 + number)


def end_process(status: int) -> None:
    """End this process at once, whatever it is doing."""
    os._exit(status)


def last_words(number: int = signal.SIGINT) -> str:
    """Return what a command says when a signal ends it."""
    return f"{_WORDS[number]}. Finished rounds are kept; run the same command again to go on."
