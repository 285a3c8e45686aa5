"""TensorFlow in silence, and Keras as this package needs it, whatever surrounds the process."""

import contextlib
import logging
import os
import sys

_stderr = 2


def stderr_of_the_user() -> int:
    """Return the file descriptor that leads to the user, while stderr is kept silent too."""
    return _stderr


@contextlib.contextmanager
def quiet_start():
    """Keep off stderr what TensorFlow's native code prints while it is loaded and first used.

    Some of it is written before any log level is read, so only the file descriptor stops it. An
    exception is still printed as ever, after the descriptor is back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    global _stderr
    sys.stderr.flush()
    saved = _stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        _stderr = 2
        os.close(saved)
    for name in ("absl", "tensorflow"):  # deprecations, and advice on retracing
        logging.getLogger(name).setLevel(logging.ERROR)


def load_tensorflow() -> None:
    """Load TensorFlow and Keras for a command, in a process that is its own.

    A shell's KERAS_BACKEND and a user's keras.json are meant for other programs: another backend
    cannot work here, and another data format, float type or epsilon would be another network.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["MPLBACKEND"] = "agg"  # figures are files
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
