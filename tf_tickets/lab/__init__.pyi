from . import data, methods, metrics, models, plots
from .arms import ARMS, ArmCard
from .cards import register
from .config import Data, Judging, RunConfig, load_extensions, read_config
from .data import DATASETS, DatasetCard
from .description import describe
from .engine_options import EngineOptions
from .experiment import Experiment
from .job import Job, execute, run
from .methods import METHODS, AtInitialization, Method
from .metrics import METRICS, Metric
from .models import MODELS, Family, GanTraining, ModelCard, Training
from .options import Options, option
from .precision_trial import Trial, try_precisions
from .recipes import Recipe, resolve
from .run_view import Run
from .show.figures import FIGURES, Figure, draw_figures
from .show.outcome import sentence
from .show.progress import ProgressBar, TensorBoardLog
from .show.tables import tables
from .training import fit_steps

__all__ = [
    "ARMS",
    "DATASETS",
    "FIGURES",
    "METHODS",
    "METRICS",
    "MODELS",
    "ArmCard",
    "AtInitialization",
    "Data",
    "DatasetCard",
    "EngineOptions",
    "Experiment",
    "Family",
    "Figure",
    "GanTraining",
    "Job",
    "Judging",
    "Method",
    "Metric",
    "ModelCard",
    "Options",
    "ProgressBar",
    "Recipe",
    "Run",
    "RunConfig",
    "TensorBoardLog",
    "Training",
    "Trial",
    "data",
    "describe",
    "draw_figures",
    "execute",
    "fit_steps",
    "load_extensions",
    "methods",
    "metrics",
    "models",
    "option",
    "plots",
    "read_config",
    "register",
    "resolve",
    "run",
    "sentence",
    "tables",
    "try_precisions",
]
