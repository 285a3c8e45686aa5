"""The ways of pruning that a comparison sets side by side, each a method with its options."""

import dataclasses
from collections.abc import Sequence

from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.registry import Registry


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of pruning.

    Attributes:
        name: in tables and figures.
        method: the name of its method.
        color, marker: of its points.
        options: of the method, beside those that the comparison decides.
        precision: the Keras dtype policy; "mixed" is that of 16 bits for the hardware.
    """

    name: str
    method: str
    color: str
    marker: str
    options: tuple[tuple[str, object], ...] = ()
    precision: str = "float32"

    @property
    def is_mixed(self) -> bool:
        """Whether it computes in another precision than the unpruned network."""
        return self.precision != "float32"


def _of_method(name):
    card = METHODS[name]
    return Way(name, name, card.color, card.marker)


WAYS = Registry(
    "way of pruning",
    [
        _of_method("imp"),
        _of_method("early-bird"),
        # One threshold for all layers, as the paper has it.
        Way("early-bird-global", "early-bird", "#66A61E", "<", (("pool", "model"),)),
        # Masks are compared with those of the five epochs before, as in the paper.
        Way("early-bird-epochs", "early-bird", "#B2DF8A", ">", (("draw_each_epoch", True),)),
        Way("early-bird-mixed", "early-bird", "#56B4E9", "v", precision="mixed"),
        *map(_of_method, ("snip", "grasp", "synflow")),
    ],
)


# Of the weights that are left, what a round of iterative pruning removes.
_RATE = 0.2


def sparsity_after(rounds: int) -> float:
    """Return the fraction of the weights that is gone after so many rounds of 20 %."""
    return round(1 - (1 - _RATE) ** rounds, 12)  # which is no whole weight of any network


def configs_of(
    base: RunConfig, names: Sequence[str], rounds: Sequence[int]
) -> dict[Way, RunConfig]:
    """Return the runs of a comparison; the first is in full precision, and shows the unpruned.

    Args:
        base, rounds: as `config_of` takes them.
        names: of the ways to compare, in `WAYS`.

    Raises:
        SettingError: if a way is unknown, or does not fit the rest.
    """
    chosen = [WAYS[name] for name in names]
    # Every run trains the unpruned network too; one in full precision shows it.
    unpruned = next((way for way in chosen if not way.is_mixed), WAYS["imp"])
    return {
        way: config_of(way, base, rounds, alone=way not in chosen)
        for way in dict.fromkeys([unpruned, *chosen])
    }


def config_of(way: Way, base: RunConfig, rounds: Sequence[int], alone: bool = False) -> RunConfig:
    """Return the run of one way, to the sparsities at which all ways are compared.

    Args:
        way: of pruning.
        base: model, data, training and judging of all ways; its method's options that another
            method has too are taken over.
        rounds: of iterative pruning, each of 20 %, in rising order: it is compared after each of
            these. Other ways are asked for the same sparsities.
        alone: whether only the unpruned network of the run is asked for.
    """
    kind = METHODS[way.method]
    known = {field.name for field in dataclasses.fields(kind)}
    taken = {"retries": getattr(base.method, "retries", None)}
    taken |= {"rewind_step": getattr(base.method, "rewind_step", None)}
    taken |= {"rewind_share": getattr(base.method, "rewind_share", None)}
    options = {name: value for name, value in taken.items() if name in known and value is not None}
    if kind.iterates:
        # Every round is wanted, whatever its verdict.
        options |= {"rounds": 1 if alone else max(rounds), "rate": _RATE, "all_rounds": True}
    else:
        options["weight_sparsity"] = tuple(map(sparsity_after, rounds))
    return dataclasses.replace(
        base,
        method=kind(**{**options, **dict(way.options)}),
        training=dataclasses.replace(base.training, precision=way.precision),
        # Whether it is the channels that matter or the widths, a slim ticket has to show.
        arms=("winning", "random") if kind.slims else ("winning",),
    )
