"""How the weights of a network may begin: what Keras, PyTorch and two papers' authors draw."""

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.options import refuse

keras = LazyModule("keras")

# Radford et al., arXiv:1511.06434 (kernels), and the authors' code of Chen et al.,
# arXiv:2106.00134 (scales of normalizations).
_SMALL = 0.02

INITIALIZERS = ("keras", "pytorch", "normal", "dcgan", "sngan")


def check_initializer(name: str) -> None:
    """Raise SettingError unless there is such a way to draw weights."""
    if name not in INITIALIZERS:
        refuse("initializer", f"must be one of {', '.join(INITIALIZERS)}", name)


def initialize(networks, name: str) -> None:
    """Draw the kernels and scales of new networks anew, by the seeds that Keras would take.

    "keras" leaves them as they are: Glorot's uniform kernels and scales of 1. "pytorch" draws
    kernels uniformly from +-1 / sqrt(inputs), "normal" and "dcgan" by a normal distribution with a
    standard deviation of 0.02. "dcgan" and "sngan" draw scales about 1 with the same deviation.
    Biases are zero in all of them; those of PyTorch are not.

    Args:
        networks: Keras models that nothing has trained.
        name: one of `INITIALIZERS`.
    """
    draws = _OF_VARIABLES[name]
    for network in networks:
        for variable in network.trainable_variables:
            if variable.name in draws:
                # A new one for each, as it takes its seed from where those of layers come from.
                initializer = draws[variable.name]()
                variable.assign(initializer(variable.shape, variable.dtype))


def _normal(mean):
    return lambda: keras.initializers.RandomNormal(mean, _SMALL)


def _uniform():
    # PyTorch calls it He's uniform distribution with a slope of sqrt(5).
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


_OF_VARIABLES = {
    "keras": {},
    "pytorch": {"kernel": _uniform},
    "normal": {"kernel": _normal(0.0)},
    "dcgan": {"kernel": _normal(0.0), "gamma": _normal(1.0)},
    "sngan": {"gamma": _normal(1.0)},
}
