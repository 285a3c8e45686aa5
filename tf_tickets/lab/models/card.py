"""Cards of models and of their families: what the laboratory knows of each without TensorFlow."""

import dataclasses
import inspect
import numbers
from collections.abc import Callable, Mapping

from tf_tickets.errors import SettingError, check_count, check_mapping
from tf_tickets.lab.models.initializers import INITIALIZERS, check_initializer, initialize
from tf_tickets.lab.models.training_options import Training

# Options of networks that count something, of which there has to be one.
_SIZES = ("width", "generator_factor", "latent_dim", "generator_batch_factor")


def _nothing(resolved, given):
    """Change no option."""


@dataclasses.dataclass(frozen=True)
class Family:
    """Models of one kind, which are trained by the same Keras class.

    Attributes:
        name: of the family.
        title: what people call it.
        model_class: function without arguments that imports and returns the Keras class. Its
            networks are the first arguments of the class, in the order of `components`.
        components: the networks that a model is made of.
        maker: the component that makes images, out of codes if the model samples or reconstructs.
        offers: which images a model has to show: "samples" of noise, "reconstructions" of images,
            "translations" of images of one domain into another.
        groups: name -> components that are pruned, or started anew, together under this name.
        training: the options of a training, a subclass of `Training`.
        num_optimizers: how many `compile` takes.
        options: the options of the class, with their defaults.
        recipe: fields of `recipes.Recipe` for all models of the family.
        recipes_on: the same for single data sets, by the data set's name.
        complete: function of (all options, those that were given) that changes the former, where
            one option decides the default of another.
        departures: what is done otherwise than in the papers, a sentence each that ends in its
            source; options are in backticks.
    """

    name: str
    title: str
    model_class: Callable[[], type]
    components: tuple[str, ...]
    maker: str
    offers: frozenset[str]
    training: type[Training] = Training
    groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    num_optimizers: int = 1
    options: Mapping = dataclasses.field(default_factory=dict)
    recipe: Mapping = dataclasses.field(default_factory=dict)
    recipes_on: Mapping[str, Mapping] = dataclasses.field(default_factory=dict)
    complete: Callable[[dict, Mapping], None] = _nothing
    departures: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """Each name under which something can be pruned -> its components."""
        return {**{name: (name,) for name in self.components}, **self.groups}


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """One model: its networks, its options, how it is trained, and what the papers say of it.

    Attributes:
        name: under which commands and recipes know it.
        title: what people call it.
        family: the kind of model that its networks make.
        networks: function of (image_shape, **options) that returns one `keras.Model` for each of
            the family's components. Its signature says which options there are. Codes and images
            have to be float32 in any precision: the last layer of a network takes dtype="float32".
        options: defaults of this model, in place of those of `networks` and of the family.
        recipe: fields of `recipes.Recipe` in place of the family's.
        recipes_on: the same for single data sets, by the data set's name.
        paper_params: parameters that a paper gives the model; None if it is none of the papers'.
        paper_dataset: the data set for whose images the paper counts them.
        paper: which paper that is, and where in it.
        shares_maker_with: models whose maker has the same layers at the same options, so that
            tickets of it can move between them.
        variant_for: model name -> the model that stands in for this one if it is to take tickets
            of the former.
        departures: as of `Family`, of this model alone.
    """

    name: str
    title: str
    family: Family
    networks: Callable
    options: Mapping = dataclasses.field(default_factory=dict)
    recipe: Mapping = dataclasses.field(default_factory=dict)
    recipes_on: Mapping[str, Mapping] = dataclasses.field(default_factory=dict)
    paper_params: int | None = None
    paper_dataset: str = "cifar10"
    paper: str = ""
    shares_maker_with: tuple[str, ...] = ()
    variant_for: Mapping[str, str] = dataclasses.field(default_factory=dict)
    departures: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict:
        """All options, of the networks and of the family's class, with their defaults."""
        of_all = {"initializer": INITIALIZERS[0]}
        return {**of_all, **self._network_defaults(), **self.family.options, **self.options}

    def _network_defaults(self):
        _, *parameters = inspect.signature(self.networks).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}

    def resolved_options(self, options: Mapping) -> dict:
        """Return all options, those that are given in place of the defaults.

        Raises:
            SettingError: if the model has no such option, or a size is below 1.
        """
        self._check(options)
        resolved = {**self.defaults, **options}
        self.family.complete(resolved, options)
        return resolved

    def _check(self, options):
        check_mapping("options", options, "names of options to values")
        known = self.defaults
        for option, value in options.items():
            if option not in known:
                raise SettingError(
                    f"{self.name} has no option {option!r}. Its options are: {', '.join(known)}."
                )
            if option in _SIZES and value is not None:
                check_count(option, value)
        check_initializer(options.get("initializer", INITIALIZERS[0]))

    def recipe_fields(self, dataset: str) -> dict:
        """Return the fields of `recipes.Recipe` that this model or its family sets.

        Args:
            dataset: name of the data set; one that neither knows gets what holds for all.
        """
        cards = (self.family, self)
        fields = {name: value for card in cards for name, value in card.recipe.items()}
        for card in cards:
            fields |= card.recipes_on.get(dataset, {})
        return fields

    def build(self, image_shape: tuple[int, int, int], **options):
        """Return a new, uncompiled model: see `models.build`."""
        _check_shape(image_shape)
        resolved = self.resolved_options(options)
        of_class = {name: resolved.pop(name) for name in self.family.options}
        initializer = resolved.pop("initializer")
        networks = self.networks(tuple(image_shape), **resolved)
        initialize(networks, initializer)
        name = self.name.replace("-", "_")
        return self.family.model_class()(*networks, **of_class, name=name)


def _check_shape(shape):
    whole = isinstance(shape, list | tuple) and all(isinstance(n, numbers.Integral) for n in shape)
    if not whole or len(shape) != 3 or min(shape) < 1:
        raise SettingError(
            "`image_shape` must be (height, width, channels), whole numbers of at least 1. "
            f"Received: image_shape={shape!r}"
        )
