"""The Frechet distance between two sets of images, from the moments of their features."""

import numpy as np

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.metrics.moments import Moments


def frechet_distance(real: Moments, generated: Moments) -> float:
    """Return the squared Frechet distance between Gaussians with these moments.

    It is `norm(m_r - m_g)^2 + Tr(S_r + S_g - 2 (S_r S_g)^(1/2))`: 0 if both agree, larger the
    further the generated images are from the real ones. On Inception's features it is the FID. It
    is biased upward for few images, so compare only distances from equal numbers of them.

    Args:
        real: moments of the features of real images: mean m_r and covariance S_r.
        generated: those of as many generated images, by the same network.

    Raises:
        SettingError: if either has seen fewer than two images, or they are of other features.
        DivergedError: if features were NaN or infinite, or so large that the distance is.

    Source: Heusel et al., 2017, arXiv:1706.08500; the trace is TF-GAN's `trace_sqrt_product`.
    """
    import tensorflow as tf

    from tf_tickets import interop

    for name, moments in (("real", real), ("generated", generated)):
        if not isinstance(moments, Moments):
            raise SettingError(f"`{name}` must be Moments. Received: a {type(moments).__name__}")
    if real.mean.shape != generated.mean.shape:
        raise SettingError(
            "A Frechet distance needs moments of the same features. Received: "
            f"{len(real.mean)} and {len(generated.mean)} of them."
        )
    for name, moments in (("real", real), ("generated", generated)):
        if not np.all(np.isfinite(moments.covariance)):
            raise DivergedError(
                f"The Frechet distance is not finite: the features of the {name} images hold NaN "
                "or infinity."
            )
    covariances = np.stack([real.covariance, generated.covariance])
    traces = np.trace(covariances, axis1=1, axis2=2)
    # TF-GAN takes no root of eigenvalues below 1e-10, which must not depend on the features' unit.
    scale = max(traces) / len(real.mean) or 1.0
    root = scale * interop.classifier_metrics().trace_sqrt_product(
        *tf.constant(covariances / scale)
    )
    spread = np.sum(traces) - 2 * float(root)
    with np.errstate(over="ignore"):
        shift = np.sum(np.square(real.mean - generated.mean))
    if not np.isfinite(shift + spread):
        raise DivergedError("The Frechet distance is not finite: the features are too large.")
    # Rounding can leave a set's distance to itself a little below zero, which no distance is.
    return max(float(shift + spread), 0.0)


def _of_generated(evidence) -> float:
    return frechet_distance(evidence.real.moments, evidence.generated.moments)


CARDS = (
    Metric(
        name="fcd",
        title="Fréchet classifier distance",
        unit="FCD",
        higher_is_better=False,
        features="classifier",
        compute=_of_generated,
        has_floor=True,
    ),
    Metric(
        name="fid",
        title="Fréchet Inception distance",
        unit="FID",
        higher_is_better=False,
        features="inception",
        compute=_of_generated,
        has_floor=True,
    ),
)
