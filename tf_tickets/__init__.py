"""Winning lottery tickets in deep generative models, with Keras 3 and TensorFlow."""
