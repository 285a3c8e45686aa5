"""Scales: what stands in for a paper's models and data, and so how long a reproduction takes."""

import dataclasses
from collections.abc import Mapping

from tf_tickets.lab.config import Data, Judging, RunConfig
from tf_tickets.lab.methods import METHODS, Transfer
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.papers.paper import Study
from tf_tickets.lab.ways import WAYS, config_of


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large the runs of a paper are.

    Attributes:
        name: such as "smoke" or "paper".
        title: what is trained, in words.
        data: the paper's data set -> what stands in for it, or itself.
        seeds: of every search.
        rounds: of every iterative search.
        compared: rounds after which ways of pruning are compared with each other.
        sizes: (model, the paper's data set) -> options of the training and of the network, in place
            of the recipe's. A key of the model alone holds for all data sets.
        rates: keys as of `sizes` -> what a round of iterative pruning removes of the weights that
            are left, if that is not the paper's 20 %.
        judging: how all tickets are judged.
    """

    name: str
    title: str
    data: Mapping[str, Data]
    seeds: tuple[int, ...]
    rounds: int
    compared: tuple[int, ...]
    sizes: Mapping = dataclasses.field(default_factory=dict)
    rates: Mapping = dataclasses.field(default_factory=dict)
    judging: Judging = dataclasses.field(default_factory=Judging)

    def config(self, study: Study, source=None) -> RunConfig:
        """Return the run of a study.

        Args:
            study: one of the paper's.
            source: the run folder of the study whose tickets are transferred.

        Raises:
            SettingError: if the study cannot be made at this scale.
        """
        card = MODELS[study.model]
        sizes = {
            **self.sizes.get(study.model, {}),
            **self.sizes.get((study.model, study.dataset), {}),
        }
        kind = card.family.training
        of_training = {field.name for field in dataclasses.fields(kind)}
        config = RunConfig(
            study.model,
            self._method(study, source),
            self.data[study.dataset],
            kind(**{name: value for name, value in sizes.items() if name in of_training}),
            self.judging,
            self.seeds,
            study.arms if study.source is None else Transfer.arms,
            network={name: value for name, value in sizes.items() if name not in of_training},
        )
        if study.way:
            config = config_of(WAYS[study.way], config, self.compared)
            config = dataclasses.replace(config, arms=study.arms)
        return config

    def _method(self, study, source):
        """Return the method of a study; all its rounds are trained, so that curves are whole."""
        kind = METHODS[study.method]
        known = {field.name for field in dataclasses.fields(kind)}
        decided = {"rounds": self.rounds, "all_rounds": True, "source": source and str(source)}
        if study.source is not None:
            decided["rounds"] = None  # all those of the source
        for key in (study.model, (study.model, study.dataset)):
            if key in self.rates:
                decided["rate"] = self.rates[key]
        options = {name: value for name, value in decided.items() if name in known}
        return kind(**{**options, **dict(study.options)})
