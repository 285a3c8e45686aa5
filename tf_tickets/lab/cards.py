"""Cards of your own."""

from tf_tickets.errors import SettingError
from tf_tickets.lab.data import DATASETS, DatasetCard
from tf_tickets.lab.methods import METHODS, Method
from tf_tickets.lab.metrics import METRICS, Metric
from tf_tickets.lab.models import MODELS, ModelCard
from tf_tickets.lab.show.figures import FIGURES, Figure

_REGISTRIES = (
    (ModelCard, MODELS),
    (DatasetCard, DATASETS),
    (Metric, METRICS),
    (Figure, FIGURES),
)


def register(card):
    """Add a card of your own to those of its kind, and return it; it can decorate a class too.

    Args:
        card: a ModelCard, DatasetCard, Metric or Figure, or a subclass of Method such as one of
            AtInitialization.

    Raises:
        SettingError: if it is none of these, or there is another card of its name.
    """
    if isinstance(card, type) and issubclass(card, Method):
        return METHODS.add(card)
    for kind, registry in _REGISTRIES:
        if isinstance(card, kind):
            return registry.add(card)
    raise SettingError(
        "`card` must be a ModelCard, a DatasetCard, a Metric, a Figure or a subclass of Method. "
        f"Received: {card!r}"
    )
