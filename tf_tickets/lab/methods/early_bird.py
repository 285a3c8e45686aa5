"""Early-bird tickets: channels are removed once it has settled in training which matter."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.method import POOLS, Method, check_rising
from tf_tickets.lab.options import option, refuse


@dataclasses.dataclass(frozen=True)
class EarlyBird(Method):
    """Remove the channels of the smallest scales, and train the smaller network on.

    Source: You et al., 2020, arXiv:1909.11957; Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1.
    """

    name: ClassVar[str] = "early-bird"
    title: ClassVar[str] = "channels, once the set of the smallest ones stops changing"
    color: ClassVar[str] = "#009E73"
    marker: ClassVar[str] = "^"
    arms: ClassVar[tuple[str, ...]] = ("winning", "random")
    slims: ClassVar[bool] = True
    departures: ClassVar[tuple[str, ...]] = (
        "An L1 penalty on the scales is added until the ticket is drawn, as in the paper that "
        "introduced early-bird tickets; this one mentions none (Kalibhat et al., sec. 3.1).",
        "Masks are drawn every few steps, a fiftieth of a training, and not after each epoch as "
        "`draw_each_epoch` does, so that the step of a draw is not the epoch 4 to 6 of the paper "
        "(Kalibhat et al., sec. 3.1).",
        "The channels of each layer are ranked by themselves by default, and not all together as "
        "`pool` model does (Kalibhat et al., sec. 3.1).",
        "Mixed precision is 16 bits with a scaled loss; the paper computes in 16 or 8 bits "
        "(Kalibhat et al., sec. 3.1).",
    )
    _adds_stages: ClassVar[tuple[str, ...]] = ()

    channel_sparsity: tuple[float, ...] = option(
        (0.3, 0.5, 0.7),
        "fractions of the channels to remove, a round for each",
        at_least=0,
        below=1,
    )
    weight_sparsity: tuple[float, ...] | None = option(
        None,
        "fractions of the kernels' weights to remove, in place of channel_sparsity: the fractions "
        "of the channels follow from them, and nearly so if not each layer is ranked by itself",
        at_least=0,
        below=1,
    )
    # In trainings as short as here, one threshold for all layers starves some of them: the scales
    # are near where they began, and differ less within a layer than layers do.
    pool: str = option(
        "layer",
        "which channels are ranked together: all of the model, or those of each component or layer",
        POOLS,
    )
    mask_distance: float = option(
        0.1,
        "a ticket is drawn once its masks differ by less than this from each of the last five",
        above=0,
        at_most=1,
    )
    draw_every: int | None = option(
        None,
        "optimizer steps between two draws of masks (default: a fiftieth of the training, at "
        "most an epoch)",
        at_least=1,
    )
    draw_each_epoch: bool = option(False, "draw masks after each epoch, as the papers do")
    scale_penalty: float = option(
        1e-4,
        "weight of an L1 penalty on the scales of normalizations, until the ticket is drawn",
        at_least=0,
    )
    whole_groups: bool = option(False, "remove channels that several normalizations share, too")
    round_to: int = option(1, "round the widths of tickets up to multiples of this", at_least=1)

    def __post_init__(self):
        super().__post_init__()
        for name in ("channel_sparsity", "weight_sparsity"):
            check_rising(name, getattr(self, name))
        if self.draw_each_epoch and self.draw_every is not None:
            refuse("draw_every", "must not be given beside draw_each_epoch", self.draw_every)

    @property
    def num_rounds(self):
        """One for each sparsity."""
        return len(self.weight_sparsity or self.channel_sparsity)

    def identity(self):
        """Return the options that change the bits of a stage: of the two sparsities one.

        How often masks are drawn is in steps by then: see `adapted`.
        """
        options = super().identity()
        del options["draw_each_epoch"]
        del options["weight_sparsity" if self.weight_sparsity is None else "channel_sparsity"]
        return options

    def check(self, config):
        """Raise SettingError over what means nothing to networks that are not rewound."""
        super().check(config)
        for name, default in (("discriminator_init", "rewind"), ("distill_discriminator", False)):
            value = getattr(config.training, name, default)
            if value != default:
                refuse(name, "is for the method imp, whose rounds rewind", value)

    def adapted(self, num_steps, steps_per_epoch):
        """Return the method with a number of steps between two drawings."""
        if self.draw_every is not None:
            return self, []
        often = min(max(1, num_steps // 50), steps_per_epoch)
        often = steps_per_epoch if self.draw_each_epoch else often
        return dataclasses.replace(self, draw_every=often, draw_each_epoch=False), []

    def check_model(self, model, config):
        """Raise SettingError if no channel of the model may go, or too few for a sparsity."""
        from tf_tickets.channels.ranking import ChannelRanking

        ranking = ChannelRanking(model, self.whole_groups, self.pool)
        for sparsity in self._channel_sparsities(model):
            ranking.masks(sparsity)

    def _channel_sparsities(self, model) -> tuple[float, ...]:
        """Return the fraction of the channels that goes in each round."""
        from tf_tickets.channels.equal_sparsity import channel_sparsity_for

        if self.weight_sparsity is None:
            return self.channel_sparsity
        options = (self.whole_groups, self.round_to)
        found = [channel_sparsity_for(model, each, *options) for each in self.weight_sparsity]
        if len(set(found)) < len(found):
            expected = f"must be such that {model.name} loses another number of channels for each"
            refuse("weight_sparsity", expected, self.weight_sparsity)
        return tuple(found)

    def search(self, experiment, config):
        """Return the search of an experiment."""
        from tf_tickets import search

        return search.EarlyBirdSearch(
            experiment.task(),
            self._channel_sparsities(experiment.build_on_one_device(seed=0)),
            draw_every=self.draw_every,
            mask_distance=self.mask_distance,
            scale_penalty=self.scale_penalty,
            round_to=self.round_to,
            whole_groups=self.whole_groups,
            pool=self.pool,
            random_arm="random" in config.arms,
        )

    def pruning_flops(self, record, costs):
        """Return what the thresholds and distances of all drawings took."""
        from tf_tickets.costs.pruning import pruning_flops

        drawings = [drawing["distances"] for drawing in record["distances"]]
        operations = {
            "global_threshold": len(drawings),
            "mask_distance": sum(map(len, drawings)),
            "channel_surgery": 1,
        }
        return pruning_flops(operations, costs.num_channels)
