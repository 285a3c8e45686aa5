"""Random graphs of layers and operations, small enough to try thousands of them.

They hold what `slim` knows and much that it does not, layers that are called several times,
constants, models within models, several inputs and outputs, odd axes, and channels of one.
"""

import random

import keras
import numpy as np
from keras import layers, ops

SIZE = 4  # height and width of images
WIDTHS = (1, 2, 3, 4, 4, 6, 6)
KEEP_ZERO = (None, None, "relu", "relu", "tanh", "gelu", "silu")
ACTIVATIONS = (*KEEP_ZERO, "sigmoid", "softplus", "softmax")


@keras.saving.register_keras_serializable("tests")
class Odd(layers.Layer):
    """A layer that nobody knows, whose first weight is a number."""

    def build(self, shape):
        self.strength = self.add_weight(shape=(), name="strength", initializer="ones")
        self.offset = self.add_weight(shape=(shape[-1],), name="offset", initializer="ones")

    def call(self, x):
        return self.strength * x + self.offset


def random_model(seed: int) -> keras.Model:
    """Return a built model; the seed decides everything."""
    rng = random.Random(seed)
    keras.utils.set_random_seed(seed)
    inputs = [keras.Input((SIZE, SIZE, rng.choice(WIDTHS))) for _ in range(rng.choice((1, 1, 2)))]
    graph = RandomGraph(rng, inputs)
    if rng.random() < 0.25:
        inputs.append(keras.Input((rng.choice(WIDTHS),)))
        graph.vectors.append(inputs[-1])
    graph.grow(rng.randint(4, 10))
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], graph.outputs(), name="net")
    _shake(model, np.random.default_rng(seed))
    return model


def _shake(model, rng):
    """Give the weights values as after a training."""
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name in ("gamma", "moving_variance", "alpha", "strength"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif variable.name in ("beta", "bias", "moving_mean", "offset"):
            variable.assign(rng.normal(0, 0.3, shape))


class RandomGraph:
    """Tensors, and random steps that make more of them."""

    def __init__(self, rng: random.Random, images: list, depth: int = 0):
        self.rng = rng
        self.images = list(images)
        self.vectors = []
        self.depth = depth
        self._made = []  # pairs of a layer and the shape that it was called on, to be called again

    def grow(self, num_steps: int) -> None:
        """Make more tensors by so many steps."""
        steps = (
            *(self.block,) * 8,
            *(self.convolve,) * 3,
            *(self.normalise, self.normalise, self.activate, self.activate, self.operate),
            *(self.merge,) * 3,
            *(self.to_vector, self.on_vector, self.to_image, self.gate, self.modulate),
            *(self.call_again,) * 2,
            *(self.nest, self.reshape, self.rng.choice((self.unknown, self.constant))),
        )
        for _ in range(num_steps):
            self.rng.choice(steps)()

    def outputs(self):
        """Return what a model of all this gives: heads, and now and then a tensor as it is."""
        made = []
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            x = self.image()
            head = self.rng.random()
            if head < 0.6:
                x = layers.Conv2D(2, 1)(x)
            elif head < 0.9:
                x = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
            made.append(x)
        if self.vectors:
            made.append(layers.Dense(2)(self.rng.choice(self.vectors)))
        return made if len(made) > 1 else made[0]

    def image(self):
        """Return an image, of the latest more often than not."""
        some = self.images[-2:] if self.rng.random() < 0.8 else self.images
        return self.rng.choice(some)

    def add(self, layer, x):
        """Call a layer on an image, and keep what it gives."""
        self._made.append((layer, x.shape))
        self.keep(layer(x))

    def keep(self, x):
        """Keep a tensor; one of another rank or size only where it is a vector."""
        if len(x.shape) == 2:
            self.vectors.append(x)
        elif tuple(x.shape[1:3]) == (SIZE, SIZE) and len(x.shape) == 4 and x.shape[-1] <= 24:
            self.images.append(x)

    # --- steps

    def block(self):
        """Convolve, normalise and activate, as most networks do."""
        pick = self.rng.choice
        x = layers.Conv2D(pick(WIDTHS), pick((1, 3)), padding="same")(self.image())
        if pick((True, True, False)):
            x = layers.BatchNormalization(scale=pick((True, True, False)))(x)
        self.add(layers.Activation(pick(KEEP_ZERO) or "linear"), x)

    def convolve(self):
        """Mix the channels of an image."""
        pick, x = self.rng.choice, self.image()
        kind = pick(("conv", "conv", "conv", "dense", "transpose", "separable", "depthwise"))
        options = {"use_bias": pick((True, False)), "activation": pick(ACTIVATIONS)}
        width, same = pick(WIDTHS), {"padding": "same"}
        if kind == "conv":
            groups = 2 if width % 2 == 0 and x.shape[-1] % 2 == 0 and pick((True, False)) else 1
            layer = layers.Conv2D(width, pick((1, 3)), groups=groups, **same, **options)
        elif kind == "dense":
            layer = layers.Dense(width, **options)
        elif kind == "transpose":
            layer = layers.Conv2DTranspose(width, 3, **same, **options)
        elif kind == "separable":
            multiplier = pick((1, 2))
            layer = layers.SeparableConv2D(width, 3, depth_multiplier=multiplier, **same, **options)
        else:
            layer = layers.DepthwiseConv2D(3, depth_multiplier=pick((1, 2)), **same, **options)
        self.add(layer, x)

    def normalise(self):
        """Normalise an image, more often than not along its channels."""
        pick, x = self.rng.choice, self.image()
        width = x.shape[-1]
        options = {"scale": pick((True, True, False)), "center": pick((True, False))}
        groups = [n for n in (1, 2, 3, -1) if width % n == 0]
        self.add(
            pick(
                (
                    layers.BatchNormalization(**options),
                    layers.BatchNormalization(**options),
                    layers.BatchNormalization(axis=pick((1, 2, 3)), **options),
                    layers.GroupNormalization(pick(groups), **options),
                    layers.GroupNormalization(-1, **options),
                    layers.LayerNormalization(),
                    layers.UnitNormalization(),
                )
            ),
            x,
        )

    def activate(self):
        """Put an image through what has no kernel."""
        pick, x = self.rng.choice, self.image()
        self.add(
            pick(
                (
                    layers.ReLU(),
                    layers.ReLU(max_value=6.0, negative_slope=0.1),
                    layers.ReLU(threshold=0.5),
                    layers.LeakyReLU(),
                    layers.ELU(),
                    layers.Softmax(axis=pick((-1, 1))),
                    layers.PReLU(shared_axes=pick(([1, 2], [1, 2, 3]))),
                    layers.PReLU(),
                    layers.Activation(pick(ACTIVATIONS) or "linear"),
                    layers.Dropout(0.0),
                    layers.SpatialDropout2D(0.0),
                    layers.Identity(),
                    layers.Rescaling(pick((2.0, [0.5] * x.shape[-1])), pick((0.0, 1.0))),
                    layers.MaxPooling2D(3, 1, "same"),
                    layers.AveragePooling2D(3, 1, "same"),
                    layers.Permute((2, 1, 3)),
                    layers.UpSampling2D(1),
                )
            ),
            x,
        )

    def merge(self):
        """Put two or three images together, now and then with a constant."""
        pick = self.rng.choice
        first = self.image()
        width = first.shape[-1]
        fitting = [x for x in self.images if x.shape[-1] in (width, 1)]
        some = [first] + [pick(fitting) for _ in range(pick((1, 1, 2)))]
        self.rng.shuffle(some)
        if pick((True, False, False)):  # not the first, which Keras does not take
            some.insert(pick((1, 2)), self._constant(width))
        kind = pick(("Add", "Add", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"))
        if kind == "Concatenate":
            axis = pick((-1, -1, 3, 1))
            some = [first, self.image(), pick(self.images)]
            # Keras takes a constant of three images beside a batch of any size alone.
            if pick((True, False, False)) and all(x.shape[0] is None for x in some):
                some.append(np.ones((3, SIZE, SIZE, pick((1, 2))), keras.config.floatx()))
            if axis == 1:
                some = [first, *(x for x in some if x.shape[-1] == width)]
                kept = layers.Concatenate(axis=1)(some[:2])
                self.keep(layers.Cropping2D(((0, SIZE), (0, 0)))(kept) if len(some) > 1 else kept)
                return
            self.keep(layers.Concatenate(axis=axis)(some))
            return
        self.keep(getattr(layers, kind)()(some))

    def _constant(self, width):
        last = self.rng.choice((1, width))
        values = np.random.default_rng(self.rng.randrange(100)).normal(size=(1, SIZE, SIZE, last))
        return values.astype(keras.config.floatx())

    def operate(self):
        """Do to images what functions and operators do."""
        x, y = self.image(), self.image()
        one = [
            *(ops.relu, ops.silu, ops.gelu, ops.tanh, ops.sigmoid, ops.softplus, ops.relu6),
            *(ops.hard_silu, ops.leaky_relu, ops.abs, ops.square, ops.sign, ops.softmax),
            *(lambda x: x * 2.0, lambda x: 0.5 * x, lambda x: x / 3.0, lambda x: x + 1.0),
            *(lambda x: 1.0 - x, lambda x: -x, lambda x: x**2, lambda x: ops.maximum(x, 0.1)),
            *(lambda x: ops.clip(x, -1.0, 1.0), lambda x: ops.cast(x, x.dtype)),
            lambda x: x / (1.0 + ops.sum(ops.abs(x), axis=-1, keepdims=True)),
            lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True),
            lambda x: ops.concatenate([x, x], axis=-1),
            lambda x: ops.reshape(x, (-1, SIZE, SIZE, x.shape[-1])),
            lambda x: ops.transpose(x, (0, 2, 1, 3)),
            lambda x: ops.flip(x, axis=-1),
            lambda x: x[..., :1],
        ]
        two = [
            *(lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y),
            *(lambda x, y: x / (ops.abs(y) + 1.0), ops.maximum, ops.minimum),
            lambda x, y: x * ops.sigmoid(y),
            lambda x, y: ops.where(x > 0, x, y),
        ]
        if y.shape[-1] in (1, x.shape[-1]) and self.rng.random() < 0.4:
            self.keep(self.rng.choice(two)(x, y))
        else:
            self.keep(self.rng.choice(one)(x))

    def constant(self):
        """Combine an image with a constant by an operator."""
        x = self.image()
        value = self._constant(x.shape[-1])
        self.keep(
            self.rng.choice(
                (
                    *(lambda: x + value, lambda: x * value, lambda: ops.subtract(value, x)),
                    *(lambda: ops.maximum(x, value), lambda: x / (2.0 + value**2)),
                    lambda: x * ops.zeros((1,), x.dtype),
                )
            )()
        )

    def to_vector(self):
        """Make a vector of an image."""
        pick, x = self.rng.choice, self.image()
        layer = pick(
            (
                layers.Flatten(),
                layers.Flatten(data_format="channels_first"),
                layers.GlobalAveragePooling2D(),
                layers.GlobalMaxPooling2D(),
                layers.GlobalAveragePooling2D(data_format="channels_first"),
                layers.Reshape((-1,)),
                None,
            )
        )
        if layer is None:
            self.keep(pick((ops.mean, ops.max, ops.sum))(x, axis=pick(((1, 2), (2, 1), (1, 3)))))
        else:
            self.add(layer, x)

    def on_vector(self):
        """Do something to a vector."""
        if not self.vectors:
            return self.to_vector()
        pick, x = self.rng.choice, self.rng.choice(self.vectors)
        self.add(
            pick(
                (
                    layers.Dense(pick(WIDTHS), pick(ACTIVATIONS)),
                    layers.Dense(pick(WIDTHS), pick(ACTIVATIONS), use_bias=False),
                    layers.BatchNormalization(),
                    layers.LayerNormalization(),
                    layers.ReLU(),
                    layers.Dropout(0.0),
                )
            ),
            x,
        )

    def to_image(self):
        """Make an image of a vector."""
        if not self.vectors:
            return self.to_vector()
        pick = self.rng.choice
        width = pick(WIDTHS)
        x = layers.Dense(SIZE * width, use_bias=pick((True, False)))(pick(self.vectors))
        if pick((True, False)):
            x = layers.BatchNormalization()(x)
        x = layers.Reshape(pick(((1, SIZE, width), (1, SIZE, -1), (1, -1, width))))(x)
        self.keep(layers.UpSampling2D((SIZE, 1))(x))

    def gate(self):
        """Squeeze and excite."""
        pick, x = self.rng.choice, self.image()
        width = x.shape[-1]
        keepdims = pick((True, False))
        share = layers.GlobalAveragePooling2D(keepdims=keepdims)(x)
        share = layers.Dense(pick(WIDTHS), "relu")(share)
        share = layers.Dense(width, pick(("sigmoid", None)))(share)
        share = share if keepdims else layers.Reshape((1, 1, width))(share)
        self.keep(layers.Multiply()([x, share]) if pick((True, False)) else x * share)

    def modulate(self):
        """Scale and shift an image by what a vector says, as AdaIN does."""
        if not self.vectors:
            return self.to_vector()
        x, w = self.image(), self.rng.choice(self.vectors)
        shape = (1, 1, x.shape[-1])
        scale, shift = (layers.Reshape(shape)(layers.Dense(x.shape[-1])(w)) for _ in range(2))
        self.keep(self.rng.choice((lambda: x * scale + shift, lambda: x * (1.0 + scale)))())

    def call_again(self):
        """Call a layer that was made before on another tensor that fits it."""
        if not self._made:
            return
        layer, shape = self.rng.choice(self._made)
        some = self.images if len(shape) == 4 else self.vectors
        takes_any = not layer.weights and not isinstance(layer, layers.Rescaling)
        if isinstance(layer, layers.Reshape):
            takes_any = layer.target_shape == (-1,)
        fitting = [x for x in some if x.shape[-1] == shape[-1] or takes_any]
        self.keep(layer(self.rng.choice(fitting or some[:0] or [self._like(some, shape)])))

    def _like(self, some, shape):
        return next(x for x in some if x.shape == shape)

    def nest(self):
        """Call a model of its own, once or twice."""
        if self.depth > 1:
            return
        pick, x = self.rng.choice, self.image()
        if pick((True, False, False)):
            width = pick(WIDTHS)
            model = keras.Sequential(
                [
                    *(layers.Conv2D(width, 3, padding="same"), layers.BatchNormalization()),
                    *(layers.ReLU(), layers.Conv2D(pick(WIDTHS), 1)),
                ]
            )
            if pick((True, False)):
                model = keras.Sequential([layers.ReLU(), layers.UpSampling2D(1)])
                model.build((None, SIZE, SIZE, None))
        else:
            inside = keras.Input((SIZE, SIZE, x.shape[-1]))
            graph = RandomGraph(self.rng, [inside], self.depth + 1)
            graph.grow(self.rng.randint(2, 4))
            last = graph.images[-1]
            model = keras.Model(inside, [last, graph.image()] if pick((True, False)) else last)
        for _ in range(pick((1, 1, 2))):
            fitting = [each for each in self.images if each.shape[-1] == x.shape[-1]]
            for made in keras.tree.flatten(model(pick(fitting))):
                self.keep(made)

    def reshape(self):
        """Arrange an image anew, and back."""
        pick, x = self.rng.choice, self.image()
        width = x.shape[-1]
        made = pick(((SIZE * SIZE, width), (SIZE * SIZE, -1), (-1, width), (SIZE, SIZE * width)))
        x = layers.Reshape(made)(x)
        if pick((True, False)):
            x = pick((layers.BatchNormalization(), layers.ReLU(), layers.Dense(x.shape[-1])))(x)
        self.keep(layers.Reshape(pick(((SIZE, SIZE, width), (SIZE, SIZE, -1))))(x))

    def unknown(self):
        """Call a layer that `slim` does not know."""
        pick, x = self.rng.choice, self.image()
        width = x.shape[-1]
        self.add(
            pick(
                (
                    Odd(),
                    layers.EinsumDense("bhwc,cd->bhwd", (SIZE, SIZE, pick(WIDTHS))),
                    layers.TimeDistributed(layers.Dense(width)),
                    layers.SpectralNormalization(layers.Conv2D(width, 1)),
                    layers.Lambda(_doubled),
                    layers.ActivityRegularization(0.1),
                )
            ),
            x,
        )


@keras.saving.register_keras_serializable("tests")
def _doubled(x):
    return 2 * x
