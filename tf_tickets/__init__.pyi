from . import callbacks, engines, lab, search
from .channels.equal_sparsity import channel_sparsity_for
from .channels.ranking import ChannelRanking, channel_masks
from .channels.removal import channel_masks_of_zeros, weight_masks
from .channels.slim import SlimReport, slim
from .costs.flops import FlopsCount, count_flops, training_flops
from .costs.pruning import pruning_flops
from .errors import DivergedError, FileError, SettingError
from .interop import ConstantSparsity, PolynomialDecay
from .lab import data, metrics, models, plots
from .names import variable_names
from .pruning.hold import hold
from .pruning.masks import Masks
from .pruning.prunable import masks_of_zeros, prunable
from .pruning.pruner import GlobalPruning
from .pruning.schedules import IterativeSparsity
from .pruning.scores.grasp import grasp_scores
from .pruning.scores.magnitude import magnitude_scores
from .pruning.scores.normalized import normalized_scores
from .pruning.scores.random import random_scores
from .pruning.scores.snip import snip_scores
from .pruning.scores.synflow import SynapticFlow, synflow_scores
from .pruning.selection import global_masks
from .runs.folder import RunFolder, read_origin, read_settings
from .runs.records import Records, read_results
from .runs.shared import shared_folder
from .shipping.keras_file import release_held, save_held
from .shipping.report import Report, report
from .shipping.saved_model import export_saved_model
from .shipping.tflite import export_tflite
from .strategy import check_agreement, is_chief, resolve_strategy
from .tickets.snapshot import restore_snapshot, take_snapshot
from .tickets.ticket import Ticket
from .tickets.transfer import transfer_ticket

__all__ = [
    "ChannelRanking",
    "ConstantSparsity",
    "DivergedError",
    "FileError",
    "FlopsCount",
    "GlobalPruning",
    "IterativeSparsity",
    "Masks",
    "PolynomialDecay",
    "Records",
    "Report",
    "RunFolder",
    "SettingError",
    "SlimReport",
    "SynapticFlow",
    "Ticket",
    "callbacks",
    "channel_masks",
    "channel_masks_of_zeros",
    "channel_sparsity_for",
    "check_agreement",
    "count_flops",
    "data",
    "engines",
    "export_saved_model",
    "export_tflite",
    "global_masks",
    "grasp_scores",
    "hold",
    "is_chief",
    "lab",
    "magnitude_scores",
    "masks_of_zeros",
    "metrics",
    "models",
    "normalized_scores",
    "plots",
    "prunable",
    "pruning_flops",
    "random_scores",
    "read_origin",
    "read_results",
    "read_settings",
    "release_held",
    "report",
    "resolve_strategy",
    "restore_snapshot",
    "save_held",
    "search",
    "shared_folder",
    "slim",
    "snip_scores",
    "synflow_scores",
    "take_snapshot",
    "training_flops",
    "transfer_ticket",
    "variable_names",
    "weight_masks",
]
