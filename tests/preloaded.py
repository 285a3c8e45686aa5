"""What `tests.processes` has imported before it forks: the package, and what it imports late."""

import altair
import keras
import matplotlib.figure
import tensorflow as tf

import tf_tickets as tt

__all__ = ["altair", "keras", "matplotlib", "tf", "tt"]

_ = [getattr(tt, name) for name in tt.__all__]
_ = tf.keras.Model
