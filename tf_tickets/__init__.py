"""Winning lottery tickets in deep generative models, with Keras 3 and TensorFlow.

The public names are loaded when first used: `import tf_tickets as tt` alone loads no TensorFlow,
so that a command can refuse a bad option at once.
"""

import importlib

_MODULE_OF = {
    "ChannelRanking": "channels.ranking",
    "ConstantSparsity": "interop",
    "DivergedError": "errors",
    "EarlyBird": "search.own_loop",
    "EarlyBirdSearch": "search.early_bird",
    "Evaluator": "lab.metrics",
    "Experiment": "lab.experiment",
    "FileError": "errors",
    "FlopsCount": "costs.flops",
    "GlobalPruning": "pruning.pruner",
    "InitialScores": "lab.methods.scoring",
    "IterativeMagnitudePruning": "search.own_loop",
    "IterativeSparsity": "pruning.schedules",
    "Masks": "pruning.masks",
    "PolynomialDecay": "interop",
    "ProgressBar": "lab.show.progress",
    "Report": "shipping.report",
    "RunFolder": "runs.folder",
    "SettingError": "errors",
    "SlimReport": "channels.slim",
    "SynapticFlow": "pruning.scores.synflow",
    "TensorBoardLog": "lab.show.progress",
    "Ticket": "tickets.ticket",
    "TicketSearch": "search.search",
    "channel_masks": "channels.ranking",
    "channel_masks_of_zeros": "channels.ranking",
    "check_agreement": "strategy",
    "choose_winning_ticket": "search.verdict",
    "compare_arms": "search.verdict",
    "count_flops": "costs.flops",
    "decisive_metric": "lab.experiment",
    "describe": "lab.experiment",
    "export_saved_model": "shipping.saved_model",
    "export_tflite": "shipping.tflite",
    "fit_steps": "lab.training",
    "global_masks": "pruning.selection",
    "grasp_scores": "pruning.scores.grasp",
    "hold": "pruning.hold",
    "is_chief": "strategy",
    "machine": "lab.experiment",
    "magnitude_scores": "pruning.scores.magnitude",
    "masks_of_zeros": "pruning.prunable",
    "mean_metrics": "search.verdict",
    "normalized_scores": "pruning.scores.normalized",
    "prunable": "pruning.prunable",
    "pruning_flops": "costs.pruning",
    "random_scores": "pruning.scores.random",
    "rebuild_slim": "search.early_bird",
    "read_origin": "runs.folder",
    "read_results": "runs.folder",
    "read_settings": "runs.folder",
    "release_held": "shipping.keras_file",
    "report": "shipping.report",
    "resolve_precision": "lab.precision",
    "resolve_strategy": "strategy",
    "restore_snapshot": "tickets.snapshot",
    "save_held": "shipping.keras_file",
    "shared_folder": "runs.folder",
    "slim": "channels.slim",
    "snip_scores": "pruning.scores.snip",
    "synflow_scores": "pruning.scores.synflow",
    "take_snapshot": "tickets.snapshot",
    "training_flops": "costs.flops",
    "transfer_ticket": "tickets.transfer",
    "versions": "lab.experiment",
    "weight_masks": "channels.ranking",
}
_SUBMODULES = {
    "callbacks": "callbacks",
    "comparison": "lab.comparison",
    "data": "lab.data",
    "metrics": "lab.metrics",
    "models": "lab.models",
    "plots": "lab.show.plots",
    "recipes": "lab.recipes",
    "results": "lab.show.results",
}

__all__ = [*_MODULE_OF, *_SUBMODULES]


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"tf_tickets.{_SUBMODULES[name]}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"tf_tickets.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'tf_tickets' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
