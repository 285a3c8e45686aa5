"""What is known of a metric before any is computed."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from tf_tickets.errors import SettingError

if TYPE_CHECKING:
    from tf_tickets.lab.metrics.evidence import Evidence

_CHOICES = {
    "of": ("losses", "reconstructions", "samples", "translations", "generated"),
    "features": (None, "classifier", "inception"),
    "only_with": (None, "samples", "reconstructions", "translations", "truth"),
    "only_without": (None, "samples", "reconstructions", "translations"),
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number that tells how good a model is: its name, how it is shown, how it is computed.

    A metric of your own is one card more: `METRICS.add(Metric(...))`. Then it is evaluated,
    recorded and drawn as the others are, and, with a direction, may decide which ticket wins.

    Attributes:
        name: in records and settings, such as "fid".
        title: of its figures, such as "Fréchet Inception distance".
        unit: at the axis of its figures.
        higher_is_better: True or False, or None if neither direction is better: such a metric is
            recorded and shown, but chooses no model.
        compute: `compute(evidence)` returns the number for an `Evidence`. It imports TensorFlow
            itself, if it needs it: to import a card must stay quick.
        of: what it is computed of: "losses", what the model's own `evaluate` returns, in which it
            then goes by the same name; "reconstructions" of real images; "samples";
            "translations" of real images into the other domain; "generated" images, whichever of
            these the model makes, samples first.
        features: the network that it needs the answers of, "classifier" or "inception"; None if
            it needs neither.
        needs_labels: whether it needs the true classes of the real images.
        only_with: "samples", "reconstructions" or "translations": it is measured only of models
            that have these, besides what `of` says; "truth": only of data whose true translations
            are known.
        only_without: the same, of models that lack them.
        has_floor: whether it is a distance to real images, so that two sets of these show how small
            it can be.
        protocol: `protocol(num_images)` returns what a record should say of how this was computed
            from that many generated images, fit for JSON; None if there is nothing to say.

    Raises:
        SettingError: if a value is none of those above.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool | None
    compute: Callable[["Evidence"], float]
    of: str = "generated"
    features: str | None = None
    needs_labels: bool = False
    only_with: str | None = None
    only_without: str | None = None
    has_floor: bool = False
    protocol: Callable[[int], Mapping] | None = None

    def __post_init__(self):
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise SettingError(
                    f"`{field}` of the metric {self.name} must be one of "
                    f"{', '.join(map(repr, choices))}. Received: {value!r}."
                )

    def applies(
        self,
        offers: Collection[str],
        features: Collection[str],
        has_labels: bool,
        losses: Collection[str] | None = None,
    ) -> bool:
        """Return whether this is measured of a model.

        Args:
            offers: what the model can make, such as "samples" and "reconstructions", and "truth"
                if the data has true translations.
            features: the networks that are there, "classifier" and "inception".
            has_labels: whether the images have labels.
            losses: the names in the answer of the model's `evaluate`, if they are known. If not,
                `only_with` and `only_without` alone tell which losses there are.
        """
        if self.features is not None and self.features not in features:
            return False
        if self.needs_labels and not has_labels:
            return False
        if self.of == "losses" and losses is not None:
            return self.name in losses
        if self.of not in ("losses", "generated") and self.of not in offers:
            return False
        if self.only_with is not None and self.only_with not in offers:
            return False
        return self.only_without not in offers
