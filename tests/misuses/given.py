"""What a misuse is given: tiny models, masks, tickets and files, made once."""

import functools
import json
import pathlib

import keras
import numpy as np
import tensorflow as tf

import tf_tickets as tt
from tests.lab.show.small_run import complete, make_records
from tf_tickets.pruning.hold import HeldMasks

L = keras.layers


class Given:
    """Makes each thing when it is first asked for, and tells whether a misuse has changed one.

    Args:
        folder: for files.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.before = None

    @functools.cached_property
    def net(self):
        """Two dense layers, `first` and `out`, compiled."""
        return compiled(L.Dense(6, "relu", name="first"), L.Dense(3, name="out"))

    @functools.cached_property
    def other(self):
        """A model of other widths and names."""
        return compiled(L.Dense(5, name="hidden"), L.Dense(2, name="out"))

    @functools.cached_property
    def wide(self):
        """A model of the same names and other widths."""
        return compiled(L.Dense(8, "relu", name="first"), L.Dense(3, name="out"))

    @functools.cached_property
    def unbuilt(self):
        return keras.Sequential([L.Dense(3)], name="unbuilt")

    @functools.cached_property
    def subclassed(self):
        """A model without a graph."""

        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__(name="subclassed")
                self.dense = L.Dense(3)

            def call(self, inputs):
                return self.dense(inputs)

        model = Subclassed()
        model(np.zeros((1, 4), "float32"))
        return model

    @functools.cached_property
    def conv(self):
        """A convolution with a normalisation, by whose scale channels are ranked."""
        images = keras.Input((4, 4, 1))
        x = L.BatchNormalization(name="norm")(L.Conv2D(4, 3, name="conv")(images))
        return keras.Model(images, L.Conv2D(1, 2, name="out")(x), name="conv_net")

    @functools.cached_property
    def masks(self):
        """Masks of `net` that keep half of its weights."""
        return tt.global_masks(tt.magnitude_scores(tt.prunable(self.net)), 0.5)

    @functools.cached_property
    def channels(self):
        """Channel masks of `conv`."""
        return tt.channel_masks(self.conv, 0.5)

    @functools.cached_property
    def ticket(self):
        return tt.Ticket.of_model(self.net, self.masks, {})

    @functools.cached_property
    def dense_ticket(self):
        """A ticket that prunes nothing."""
        return tt.Ticket.of_model(self.net, tt.Masks.all_kept(tt.prunable(self.net)), {})

    @functools.cached_property
    def held(self):
        return HeldMasks(compiled(L.Dense(2, name="alone")), tt.Masks({}))

    @functools.cached_property
    def schedule(self):
        return tt.IterativeSparsity(0.5, 3)

    @functools.cached_property
    def records(self):
        """Records of two rounds and three seeds."""
        records = make_records(rounds=2)
        for record in records:
            complete(record, evaluations=2, gan=False)
        return records

    @functools.cached_property
    def digits(self):
        return tt.data.load("digits", "test", 8, limit=8)

    @functools.cached_property
    def extractor(self):
        """Features of images without a network."""
        return tt.metrics.FeatureExtractor(
            lambda images: (images[:, 0, 0], images[:, 0, 0]),
            kind="classifier",
            digest="0",
            num_features=1,
            batch_size=2,
            image_shape=(8, 8, 1),
        )

    @property
    def kernels(self):
        return tt.prunable(self.net)

    def loss(self):
        """The loss of `net` on a batch."""
        return tf.reduce_mean(tf.square(self.net(np.ones((2, 4), "float32"))))

    def weights(self, **changes):
        """Return the state of `net`, some of it changed; None leaves a variable out."""
        changed = {name.replace("__", "/"): value for name, value in changes.items()}
        state = {**tt.take_snapshot(self.net), **changed}
        return {name: value for name, value in state.items() if value is not None}

    def task(self, **changes):
        """Return a task that nobody trains, with some other arguments."""
        arguments = {
            "build": lambda seed: compiled(L.Dense(6, name="first"), L.Dense(3, name="out")),
            "train": lambda model, seed, start, stop: None,
            "evaluate": lambda model: ({"loss": 1.0}, {}),
            "num_steps": 10,
        }
        return tt.search.Task(**{**arguments, **changes})

    def search(self, rounds=1, **options):
        """Return a search that nobody trains."""
        draw = options.pop("draw", tt.search.ByMagnitude(self.schedule))
        task = options.pop("task", self.task())
        return tt.search.TicketSearch(task, draw, rounds, **options)

    def run(self, search, seeds=(0,), **options):
        """Run a search in a new folder."""
        with tt.RunFolder(self.new("search"), {}) as folder:
            return search.run(seeds, options.pop("folder", folder), **options)

    def begun(self, callback, model=None):
        """Let a callback see a training begin, and its first batch."""
        callback.set_model(model or self.net)
        callback.on_train_begin()
        callback.on_train_batch_begin(0)

    def new(self, name="new"):
        """Return a path at which nothing is."""
        places = (self.folder / f"{name}-{number}" for number in range(1000))
        return next(place for place in places if not place.exists())

    def empty(self):
        """Return a folder with nothing in it."""
        path = self.new("empty")
        path.mkdir()
        return path

    def file(self, content="no such thing", name="file"):
        """Return the path of a file with a text, bytes, or what JSON can hold."""
        path = self.new(name)
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def state(self):
        """Return the weights of the models that were made so far, and what holds them."""
        models = [self.__dict__.get(name) for name in ("net", "other", "wide", "conv")]
        return [
            (variable.numpy().tobytes(), variable.constraint, variable.regularizer)
            for model in models
            if model is not None
            for variable in model.variables
        ]


def compiled(*layers):
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", loss="mse")
    return model
