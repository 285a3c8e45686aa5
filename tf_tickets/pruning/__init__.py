"""Masks over the weights of any Keras model: scoring, selecting, holding; knows no data."""
