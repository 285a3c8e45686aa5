"""Spectral normalisation that leaves the kernel alone, so that it can be pruned and rewound."""

import keras
import numpy as np
from keras import ops

_EPSILON = 1e-12


@keras.saving.register_keras_serializable("tf_tickets")
class SpectralConv2D(keras.layers.Conv2D):
    """A convolution by its kernel divided by that kernel's largest singular value.

    The kernel is seen as a matrix (height * width * channels, filters). Its singular value, sigma,
    is `norm(kernel u)`, where the unit vector `u` follows the first right singular vector by
    `power_step`, which whoever trains the layer calls once before each update. Gradients flow
    through sigma.

    Keras's own `SpectralNormalization` assigns the divided kernel back to the variable at every
    call in training: magnitudes would be ranked, and weights rewound, on another scale each time.
    Here the variable is never touched: what a mask removes is zero in it, so sigma is that of the
    masked kernel, and scores are of the raw one.

    It takes the arguments of `keras.layers.Conv2D`.

    Source: Miyato et al., 2018, arXiv:1802.05957.
    """

    # Weights with one number per filter, beside those of a convolution: what slimming has to know.
    channel_vectors = ("u",)

    def build(self, input_shape):
        """Make the kernel and `u`."""
        super().build(input_shape)
        self.u = self.add_weight(
            name="u",
            shape=(self.filters,),
            initializer=_unit_vector,
            trainable=False,
            autocast=False,  # a direction in 8 bits would be off by more than a power step mends
        )

    def convolution_op(self, inputs, kernel):
        """Convolve with the normalised kernel."""
        return super().convolution_op(inputs, kernel / ops.cast(self.sigma(kernel), kernel.dtype))

    def without_normalization(self) -> keras.layers.Conv2D:
        """Return a new convolution of the same config by the kernel as it is."""
        return keras.layers.Conv2D.from_config(self.get_config())

    def sigma(self, kernel=None):
        """Return the kernel's largest singular value as `u` sees it: never too large."""
        matrix = self._matrix(self.kernel if kernel is None else kernel)
        return ops.norm(ops.matmul(matrix, self.u)) + _EPSILON

    def power_step(self) -> None:
        """Turn `u` towards the first right singular vector of the kernel as it is now."""
        matrix = self._matrix(self.kernel)
        left = _unit(ops.matmul(matrix, self.u))
        self.u.assign(_unit(ops.matmul(left, matrix)))

    def settle(self) -> None:
        """Set `u` to the first right singular vector of the kernel, which was set from outside.

        Power steps would not do: after 50 of them sigma was measured up to 0.9 % too small, and
        from a `u` that sees none of the weights which a mask left they never arrive.
        """
        matrix = ops.convert_to_numpy(self._matrix(self.kernel)).astype("float64")
        _, vectors = np.linalg.eigh(matrix.T @ matrix)
        self.u.assign(vectors[:, -1])

    def save_own_variables(self, store):
        """Save `u` too: Keras's convolutions save by name, and know only of kernel and bias."""
        super().save_own_variables(store)
        if self.built:
            store["u"] = self.u

    def load_own_variables(self, store):
        """Restore what `save_own_variables` saved."""
        super().load_own_variables(store)
        if self.built:
            self.u.assign(store["u"])

    def _matrix(self, kernel):
        return ops.cast(ops.reshape(kernel, (-1, self.filters)), "float32")


def _unit(vector):
    return vector / (ops.norm(vector) + _EPSILON)


def _unit_vector(shape, dtype=None):
    # A new initializer takes its seed from where those of kernels do; the global generator would
    # depend on what the process drew before.
    return _unit(keras.initializers.RandomNormal()(shape, dtype))
