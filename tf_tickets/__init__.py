"""Winning lottery tickets in deep generative models, with Keras 3 and TensorFlow.

The public names are loaded when first used: `import tf_tickets as tt` alone loads no TensorFlow,
so that a command can refuse a bad option at once.
"""

import importlib

_MODULE_OF = {
    "ChannelRanking": "pruning.channels",
    "ConstantSparsity": "interop",
    "DivergedError": "errors",
    "EarlyBird": "search.own_loop",
    "EarlyBirdSearch": "search.early_bird",
    "Evaluator": "metrics",
    "Experiment": "experiments",
    "FileError": "errors",
    "FlopsCount": "metrics",
    "GlobalPruning": "pruning.pruner",
    "InitialScores": "scoring",
    "IterativeMagnitudePruning": "search.own_loop",
    "IterativeSparsity": "pruning.schedules",
    "Masks": "pruning.masks",
    "PolynomialDecay": "interop",
    "ProgressBar": "progress",
    "Report": "reporting.model_report",
    "RunFolder": "runs",
    "SettingError": "errors",
    "SlimReport": "pruning.slim",
    "SynapticFlow": "pruning.at_init",
    "TensorBoardLog": "progress",
    "Ticket": "tickets",
    "TicketSearch": "search.rounds",
    "channel_masks": "pruning.channels",
    "channel_masks_of_zeros": "pruning.channels",
    "check_agreement": "strategy",
    "choose_winning_ticket": "search.controls",
    "compare_arms": "search.controls",
    "count_flops": "metrics",
    "decisive_metric": "experiments",
    "describe": "experiments",
    "export_saved_model": "export",
    "export_tflite": "tflite",
    "fit_steps": "training",
    "global_masks": "pruning.selection",
    "grasp_scores": "pruning.at_init",
    "hold": "pruning.hold",
    "is_chief": "strategy",
    "machine": "experiments",
    "magnitude_scores": "pruning.scores",
    "masks_of_zeros": "pruning.scores",
    "mean_metrics": "search.controls",
    "normalized_scores": "pruning.at_init",
    "prunable": "pruning.scores",
    "pruning_flops": "metrics",
    "random_scores": "pruning.scores",
    "rebuild_slim": "search.early_bird",
    "read_origin": "runs",
    "read_results": "runs",
    "read_settings": "runs",
    "release_held": "saving",
    "report": "reporting.model_report",
    "resolve_precision": "precision",
    "resolve_strategy": "strategy",
    "restore_snapshot": "pruning.snapshot",
    "save_held": "saving",
    "shared_folder": "runs",
    "slim": "pruning.slim",
    "snip_scores": "pruning.at_init",
    "synflow_scores": "pruning.at_init",
    "take_snapshot": "pruning.snapshot",
    "training_flops": "metrics",
    "transfer_ticket": "search.transfer",
    "versions": "experiments",
    "weight_masks": "pruning.channels",
}
_SUBMODULES = (
    "callbacks",
    "comparison",
    "data",
    "metrics",
    "models",
    "plots",
    "recipes",
    "results",
)

__all__ = [*_MODULE_OF, *_SUBMODULES]


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"tf_tickets.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"tf_tickets.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'tf_tickets' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
