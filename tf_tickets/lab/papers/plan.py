"""What a reproduction takes, before any of it is trained: trainings, FLOPs, time and disk."""

import dataclasses
from collections.abc import Sequence

from tf_tickets.costs.flops import training_flops
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.data import DATASETS, image_shape
from tf_tickets.lab.experiment import build_model
from tf_tickets.lab.papers.paper import Study
from tf_tickets.lab.papers.scale import Scale
from tf_tickets.lab.prepared import recipe_of

_BYTES = 4  # of a weight
# A ticket, and the weights at the end; each beside the bits of its masks.
_FILES = 2


@dataclasses.dataclass(frozen=True)
class Planned:
    """What the run of a study takes.

    Attributes:
        study: of the paper.
        config: of its run.
        num_trainings: of all seeds, rounds and arms, dense ones among them.
        num_steps: of each training.
        flops: of all trainings together; those of early-bird tickets are counted at full width.
        num_bytes: of all stages on disk.
    """

    study: Study
    config: RunConfig
    num_trainings: int
    num_steps: int
    flops: int
    num_bytes: int


def plan(studies: Sequence[Study], scale: Scale) -> list[Planned]:
    """Return what the runs of studies take; of studies that are one run the first one.

    Args:
        studies: of the paper, each once.
        scale: of their runs.
    """
    planned = {}
    for study in studies:
        config = _without_source(study, scale)
        planned.setdefault(_key(config, study), _planned(study, config))
    return list(planned.values())


def _without_source(study, scale) -> RunConfig:
    """Return the config of a study; one that transfers tickets as if they were its own."""
    if study.source is None:
        return scale.config(study)
    own = dataclasses.replace(study, method="imp", source=None)
    return dataclasses.replace(scale.config(own), arms=("winning", "random", "shuffled"))


def _key(config, study):
    return str(config.to_dict()), study.source


def _planned(study, config) -> Planned:
    recipe = recipe_of(config)
    shape = image_shape(recipe.dataset, recipe.image_size, config.data.data_dir)
    images = DATASETS[recipe.dataset].num_images["train"]
    steps = recipe.epochs * (min(images, config.data.limit or images) // recipe.images_per_step)
    model = build_model(recipe, shape, seed=0)
    stages = len(config.seeds) * (1 + config.method.num_rounds * len(config.arms))
    weights = sum(variable.shape.num_elements() for variable in model.variables)
    return Planned(
        study,
        config,
        stages,
        steps,
        stages * training_flops(model, steps, recipe.batch_size),
        stages * weights * _BYTES * _FILES,
    )
