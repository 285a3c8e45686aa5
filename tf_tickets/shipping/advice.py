"""What of a model runs faster, what does not, and what to do about its size and its speed.

Sources: TF-MOT's issues 173, 611 and 722 on GitHub, for what users expected of pruning; "Sparse
inference" in TensorFlow's lite/delegates/xnnpack/README.md, for the networks whose 1x1 convolutions
skip zeros; NVIDIA, "Accelerating Inference with Sparsity Using the NVIDIA Ampere Architecture and
NVIDIA TensorRT", 2021, and the release notes of cuSPARSELt, for 2:4 patterns; `export_tflite`, for
what we measured of blocks.
"""

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.errors import SettingError
from tf_tickets.names import variable_names
from tf_tickets.protocols import Slimmed, has_ability
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values
from tf_tickets.shipping.forms import Form
from tf_tickets.shipping.rows import WeightRow, sparsity_of
from tf_tickets.shipping.text import byte_size, count_of, percent

# A weight or two of a fresh model are zero by chance.
_LEAST_SPARSITY = 0.001

# Of the dense form: what is not below is not worth another format.
_MUCH_SMALLER = 0.9

# Of the pool's mean density: a kernel that keeps less is as good as cut.
_CUT = 0.05

# Bytes of optimizer state for each parameter: SGD keeps a counter and no more.
_WORTH_LEAVING_OUT = 0.2

# The least share of zeros at which XNNPACK takes up 1x1 convolutions.
_XNNPACK_SPARSITY = 2 / 3


def speed_sentences(
    model: keras.Model, pool: Sequence[WeightRow], flops: Mapping[str, int]
) -> Iterator[str]:
    """Yield what runs faster, and what does not.

    Args:
        model: a built model.
        pool: the rows of what may be pruned.
        flops: as `Report` has them.
    """
    if has_ability(model, Slimmed):
        slimmed = model.slim_report
        yield (
            f"It was slimmed from {slimmed.params_before:,} to {slimmed.params_after:,} trained "
            "parameters, and takes the fewer FLOPs of these on any hardware."
        )
    elif sparsity_of(pool) < _LEAST_SPARSITY:
        yield "No: nothing is pruned."
    else:
        yield (
            "Not by zeros alone: Keras, TensorFlow, a SavedModel and TFLite multiply by a zero as "
            "by any number, on CPU and GPU, and hold it in memory."
        )
    blocks = [row for row in pool if row.pattern == "(4, 1)" and row.kind == "Dense"]
    if blocks:
        yield (
            f"{count_of(len(blocks), 'dense kernel')} pruned in blocks of four inputs, "
            f"(4, 1), {percent(sparsity_of(blocks))}: the sparse TFLite file runs such layers "
            "faster beyond about 80 %, and slower below."
        )
    halves = [row for row in pool if row.pattern == "2:4"]
    if halves:
        yield (
            f"{count_of(len(halves), 'kernel')} with two zeros or more in every four inputs (2:4): "
            "TensorRT and cuSPARSELt run these faster on GPUs of compute capability 8.0 or later. "
            "TensorFlow itself does not."
        )
    points = [row for row in pool if row.kind == "Conv2D" and row.shape[:2] == (1, 1)]
    if points and sparsity_of(points) >= _XNNPACK_SPARSITY:
        yield (
            f"{percent(sparsity_of(points))} of the weights of 1x1 convolutions are zero: on a "
            "phone, XNNPACK may skip these in the sparse TFLite file, in networks that its README "
            "names. Measure it: on x86 we saw no gain."
        )
    if "slim" in flops:
        yield (
            f"The slim model does: it is dense, and takes {flops['dense'] / flops['slim']:.1f} "
            "times fewer FLOPs on any hardware."
        )


def advice_sentences(
    model: keras.Model,
    masks: Masks,
    pool: Sequence[WeightRow],
    forms: Sequence[Form],
    optimizer_bytes: int,
    slim_call: str,
) -> Iterator[str]:
    """Yield what to do about size and speed.

    Args:
        model: a built model.
        masks: of its weights.
        pool: the rows of what may be pruned.
        forms: what was measured, if anything.
        optimizer_bytes: what the optimizers keep.
        slim_call: the call that made the report's slim model; empty where there is none.
    """
    if not pool:
        yield "There is nothing to prune: it has no kernel that is trained."
    elif sparsity_of(pool) < _LEAST_SPARSITY:
        yield (
            "To prune: fit with tt.callbacks.PruneLowMagnitude(tt.PolynomialDecay(0.0, 0.8, "
            "begin_step=0, end_step=1000)), by the steps of your training."
        )
    elif revived := _num_revived(model, masks):
        yield (
            f"{count_of(revived, 'weight')} that the masks remove are not zero, so no file is "
            "smaller: enter tt.hold(model, masks), or fit with tt.callbacks.HoldMasks(masks), "
            "before you save."
        )
    else:
        yield from _cut_kernels(pool)
        yield _storage(forms)
    worth_it = optimizer_bytes > _WORTH_LEAVING_OUT * num_values(model.weights)
    if worth_it and not any(form.reason for form in forms if form.name == ".keras"):
        yield (
            f"A .keras file holds {byte_size(optimizer_bytes)} of optimizer state besides. To "
            "leave it out: keras.models.load_model(path, compile=False).save(path)."
        )
    if pool:
        yield _slimming(model, slim_call)
    if 2 * sum(row.size for row in pool if row.pattern) < sum(row.size for row in pool):
        yield (
            "Where zeros are to save time, they need a pattern: tt.callbacks.PruneLowMagnitude "
            "with block_size=(4, 1), for dense layers in TFLite, or m_by_n=(2, 4), for TensorRT."
        )


def _num_revived(model, masks) -> int:
    return sum(
        int(np.count_nonzero(variable.numpy()[~masks[name]]))
        for name, variable in variable_names(model).items()
        if name in masks
    )


def _cut_kernels(pool):
    """Yield a warning where a kernel keeps next to nothing while others keep much."""
    least = _CUT * (1 - sparsity_of(pool))
    cut = [row for row in pool if 1 - row.sparsity < least]
    if cut:
        worst = min(cut, key=lambda row: row.num_kept / row.size)
        yield (
            f"{count_of(len(cut), 'kernel')} kept next to nothing, the least {worst.path} with "
            f"{worst.num_kept:,} of {worst.size:,} weights: little gets through. Prune less, or "
            'each layer by itself, as tt.callbacks.PruneLowMagnitude does with pool="layer".'
        )


def _storage(forms):
    """Return which forms are small."""
    small = {
        ("SavedModel, packed", "SavedModel, dense"): "tt.export_saved_model(model, path)",
        ("TFLite, sparse", "TFLite, dense"): "tt.export_tflite(model, path)",
    }
    if not forms:
        return f"To ship it small: {' or '.join(small.values())}, which leave out zeros."
    sizes = {form.name: form.size_bytes for form in forms if not form.reason}
    found = [
        f"{call} ({byte_size(sizes[packed])})"
        for (packed, dense), call in small.items()
        if packed in sizes and sizes[packed] < _MUCH_SMALLER * sizes[dense]
    ]
    if not found:
        return "None of these files is much smaller for its zeros: compress it, or prune more."
    return (
        f"To ship it small: {' or '.join(found)}. The dense forms and .keras store a zero as any "
        "number, and are small only once they are compressed."
    )


def _slimming(model, slim_call):
    """Return how to get a model that runs faster."""
    if slim_call:
        return (
            f"To ship it fast: slim_model = {slim_call}. Train it on, unless its channels were "
            "zero before."
        )
    try:
        ranking, options = _ranking(model)
    except SettingError as error:
        return f"To make it faster, remove whole channels; but: {error}"
    return (
        f"To make it faster, remove some of the {ranking.num_channels:,} channels that may go: "
        f"slim_model = tt.slim(model, tt.channel_masks(model, {options})), then train on. "
        f"tt.callbacks.EarlyBird({options}) chooses them in training."
    )


def _ranking(model) -> tuple[ChannelRanking, str]:
    """Return the channels that may go, and the options by which they do."""
    try:
        return ChannelRanking(model), "0.5"
    except SettingError:
        return ChannelRanking(model, whole_groups=True), "0.5, whole_groups=True"
