"""What a run is asked to do: plain names and numbers, which load no TensorFlow."""

import dataclasses
import importlib.util
import json
import os
import sys
from collections.abc import Mapping

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_path, sha256_of_json, unsealed
from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.data import DATASETS
from tf_tickets.lab.departures import departures
from tf_tickets.lab.methods import METHODS, IterativeMagnitude, Method
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.models import MODELS, Training
from tf_tickets.lab.options import Options, option, refuse
from tf_tickets.runs.paths import CONFIG

STRATEGIES = ("none", "mirrored", "multi-worker")


@dataclasses.dataclass(frozen=True)
class Data(Options):
    """What is trained on."""

    dataset: str | None = option(
        None, "the images to train on: a name, or images for a folder of files (default: digits)"
    )
    image_size: int | None = option(
        None, "height and width in pixels (default: by recipe)", at_least=1, at_most=2048
    )
    limit: int | None = option(
        None,
        "number of training images to use, and the most for validation and test (default: all)",
        at_least=1,
    )
    data_dir: str | None = option(
        None,
        "folder of tensorflow_datasets (default: $TFDS_DATA_DIR), or of the files of images",
    )


@dataclasses.dataclass(frozen=True)
class Judging(Options):
    """How tickets are judged."""

    metric: str | None = option(
        None,
        "the metric that decides which ticket wins (default: reconstruction_loss for an "
        "autoencoder; for a VAE or GAN fcd, or fid if there is an Inception network)",
    )
    tolerance: float = option(
        0.1,
        "how much worse than dense a winning ticket may be, as a fraction; our choice, not the "
        "paper's",
        at_least=0,
    )
    inception: str | None = option(
        None,
        "Inception network for FID, a TF-Hub address or a folder (default: none; a classifier "
        "trained on images of the data set stands in). Of a finished run it only evaluates",
    )
    num_samples: int | None = option(
        None,
        "number of images that models sample to be judged by, up to 50000 (default: as many as "
        "there are real ones). Of a finished run it only evaluates",
        at_least=2,
        at_most=50_000,
    )

    @property
    def way(self) -> str | None:
        """A name for what changes the metrics; None if they are those that each training ends with.

        It names the folder of a run in which evaluations by other features or samples are kept.
        """
        changes = {"inception": self.inception, "num_samples": self.num_samples}
        if not any(changes.values()):
            return None
        words = ["inception"] if self.inception else []
        words += [f"{self.num_samples}-samples"] if self.num_samples else []
        return "-".join([*words, sha256_of_json(changes)[:8]])


@dataclasses.dataclass(frozen=True)
class RunConfig(Options):
    """All that decides a run. It can be pickled, and turned into JSON and back.

    Attributes:
        model: a name in `MODELS`.
        method: the way of pruning, with its options.
        data: what is trained on.
        training: how; an instance of what the model's family takes, or None for its recipe.
        judging: how tickets are judged.
        seeds: each repeats the whole search; None for those that the method has by default.
        arms: what the masks are trained from, as `ARMS` names it.
        strategy: what trains a model together.
        threads: of each training; None for an equal share of the processors.
        network: options of the model beyond those of `training`, such as {"latent_dim": 16}.
        extensions: Python files with cards of one's own, which are loaded first.

    Raises:
        SettingError: if a name is unknown, or two values do not fit each other; the message begins
            with the option's name in backticks.
    """

    model: str = option("vae", "the network to prune")
    method: Method = dataclasses.field(default_factory=IterativeMagnitude)
    data: Data = dataclasses.field(default_factory=Data)
    training: Training | None = None
    judging: Judging = dataclasses.field(default_factory=Judging)
    seeds: tuple[int, ...] | None = option(
        None,
        "seeds, each of which repeats the whole search (default: 0 1 2 3 4; of transferred tickets "
        "all seeds of their run)",
        at_least=0,
    )
    arms: tuple[str, ...] = option(
        ("winning", "random"),
        "the ticket and its controls: random has the same masks and fresh weights, shuffled the "
        "same weights and each layer's mask shuffled",
        tuple(name for name in ARMS if name != "dense"),
    )
    strategy: str = option(
        "none",
        "how several devices train one model: all GPUs of this machine, or the workers that "
        "TF_CONFIG lists, each started by this same command",
        STRATEGIES,
    )
    threads: int | None = option(
        None,
        "threads of each training, on which its bits depend (default: an equal share of the "
        "processors; a run that goes on keeps its own)",
        at_least=1,
        at_most=1000,
    )
    network: Mapping = dataclasses.field(default_factory=dict)
    extensions: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.training is None:
            object.__setattr__(self, "training", self.card.family.training())
        self._check_family()
        self._check_names()
        if self.seeds is None:
            object.__setattr__(self, "seeds", self.method.default_seeds)
        if self.seeds is not None and (len(set(self.seeds)) < len(self.seeds) or not self.seeds):
            refuse("seeds", "must be different numbers", self.seeds)
        if "winning" not in self.arms or len(set(self.arms)) < len(self.arms):
            expected = "must include winning, whose masks the others take, and no arm twice"
            refuse("arms", expected, " ".join(self.arms))
        in_order = tuple(name for name in ARMS if name in self.arms)
        object.__setattr__(self, "arms", in_order)
        self.training.check(self.card)
        self.method.check(self)

    @property
    def card(self):
        """The model's card."""
        return MODELS[self.model]

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.data.dataset or "digits"

    @property
    def departures(self) -> dict[str, list[str]]:
        """What is done otherwise than in the papers: see `departures.departures`."""
        return departures(self.card.family, self.card, self.method)

    def _check_family(self):
        expected = self.card.family.training
        if not isinstance(self.training, expected):
            refuse(
                "training",
                f"must be a {expected.__name__} for the model {self.model}",
                type(self.training).__name__,
            )

    def _check_names(self):
        for name, value, cards in (
            ("dataset", self.data.dataset, DATASETS),
            ("metric", self.judging.metric, METRICS),
        ):
            if value is not None and value not in cards:
                refuse(name, f"must be one of {', '.join(cards)}", value)

    def to_dict(self) -> dict:
        """Return the config as JSON can hold it."""
        content = json.loads(json.dumps(dataclasses.asdict(self)))
        content["method"] = {"name": self.method.name, **content["method"]}
        return content

    def __reduce__(self):
        # Another process has to load the extensions before it meets what they define.
        return _unpickled, (self.extensions, self.to_dict())

    @classmethod
    def from_dict(cls, content: Mapping) -> "RunConfig":
        """Return the config that `to_dict` described.

        Raises:
            SettingError: if a name is unknown or a value cannot work.
        """
        content = dict(_mapping("config", content))
        method = {"name": "imp", **_mapping("method", content.pop("method", {}))}
        card = MODELS[content.get("model", "vae")]
        groups = {
            "method": (METHODS[method.pop("name")], method),
            "data": (Data, content.pop("data", {})),
            "training": (card.family.training, content.pop("training", None) or {}),
            "judging": (Judging, content.pop("judging", {})),
        }
        made = {
            name: _made(kind, _mapping(name, options)) for name, (kind, options) in groups.items()
        }
        return _made(cls, {**content, **made})


def _unpickled(extensions, content):
    load_extensions(extensions)
    return RunConfig.from_dict(content)


def _mapping(name, content):
    if not isinstance(content, Mapping):
        refuse(name, "must be a mapping from options to values", repr(content))
    return content


def _made(kind, options):
    known = {field.name for field in dataclasses.fields(kind)}
    for name in options:
        if name not in known:
            raise SettingError(f"`{name}` is not an option of {kind.__name__}.")
    return kind(**options)


def read_config(path) -> RunConfig:
    """Return what was asked for: of a run, or in a file with the JSON of `to_dict`.

    Args:
        path: the run folder, its config.json (what was asked for last) or its run.json (what was
            asked for first), or the file.

    Raises:
        FileError: if it cannot be read, is not such a file, or was changed and still has the
            SHA-256 of what was written.
        SettingError: if the config cannot work.
    """
    path = as_path(path)
    path = path / CONFIG if path.is_dir() else path
    try:
        content = _config_in(unsealed(path, json.loads(path.read_text())))
        extensions = [os.fspath(each) for each in content.get("extensions", ())]
    except FileError as error:
        raise FileError(f"{error} Leave sha256 out of a copy that you change.") from error
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise FileError(f"{path} is not the JSON of a run's config.") from error
    load_extensions(extensions)
    return RunConfig.from_dict(content)


def _config_in(content):
    of_run_json = content.get("origin", {}).get("config")
    return content.get("asked") or content.get("config") or of_run_json or content


def load_extensions(paths) -> None:
    """Run Python files that register cards of one's own; one that ran already is not run again.

    Args:
        paths: of the files.

    Raises:
        SettingError: if these are no paths.
        FileError: if a file is missing, or fails; the message names it and the reason.
    """
    if not isinstance(paths, list | tuple):
        raise SettingError(f"`paths` must be a list of files. Received: {paths!r}")
    for path in paths:
        path = as_path(path).resolve()
        name = f"tf_tickets_extension_{sha256_of_json(str(path))[:12]}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or not path.exists():
            raise FileError(f"There is no Python file {path} to load cards from.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # classes in it can be pickled by this name
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # anybody's code, which may fail in any way
            del sys.modules[name]
            reason = " ".join(str(error).split())
            raise FileError(f"{path} failed: {type(error).__name__}: {reason}") from error
