"""TensorFlow in silence: what its native code prints while it is loaded is kept off stderr."""

import contextlib
import logging
import os
import sys


@contextlib.contextmanager
def quiet_start():
    """Keep off stderr what TensorFlow's native code prints while it is loaded and first used.

    Some of it is written before any log level is read, so only the file descriptor stops it. An
    exception is still printed as ever, after the descriptor is back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
    for name in ("absl", "tensorflow"):  # deprecations, and advice on retracing
        logging.getLogger(name).setLevel(logging.ERROR)
