"""Why a pruned model is not smaller or faster, and what to do about it."""

import collections
import dataclasses
import math

import keras
import tensorflow as tf

from tf_tickets.channels.removal import channel_masks_of_zeros
from tf_tickets.channels.slim import slim
from tf_tickets.costs.flops import count_flops, networks_to_count
from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model
from tf_tickets.names import names_of
from tf_tickets.optimizers import nested_optimizers
from tf_tickets.protocols import averages_of
from tf_tickets.pruning.masks import Masks, masks_for
from tf_tickets.pruning.prunable import masks_of_zeros, why_not_prunable
from tf_tickets.shipping.advice import advice_sentences, speed_sentences
from tf_tickets.shipping.forms import Form, measure_forms
from tf_tickets.shipping.rows import WeightRow, sparsity_of, weight_rows
from tf_tickets.shipping.text import byte_size, count_of, percent, short, table, wrapped
from tf_tickets.tickets.ticket import Ticket


@dataclasses.dataclass(frozen=True)
class Report:
    """What was pruned and what was not, how large and how costly the model is, and what follows.

    Attributes:
        model: the model's name.
        weights: a WeightRow for each variable.
        weight_bytes: what the weights take in memory, whatever is zero.
        optimizer_bytes: what the optimizers keep besides, all that the model has.
        forms: how large each form is on disk, with the reason where one cannot be made; empty if
            nothing was measured.
        flops: forward FLOPs for one input: "dense", "sparse_ideal", if zeros took no time, and
            "slim", where there is a slim model; empty if they cannot be counted.
        flops_by_network: the same dense ones of each component, or each network of a model that is
            not called itself; empty if there is but one.
        uncounted: paths of layers with weights whose FLOPs are not counted; or why none are.
        speed: sentences on what runs faster, and what does not.
        advice: sentences on what to do.
    """

    model: str
    weights: tuple[WeightRow, ...]
    weight_bytes: int
    optimizer_bytes: int
    forms: tuple[Form, ...]
    flops: dict[str, int]
    flops_by_network: dict[str, int]
    uncounted: tuple[str, ...]
    speed: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def prunable(self) -> tuple[WeightRow, ...]:
        """The rows of what may be pruned."""
        return _pool(self.weights)

    @property
    def sparsity(self) -> float:
        """Fraction removed of all weights that may be pruned."""
        return sparsity_of(self.prunable)

    def as_dict(self) -> dict:
        """Return all of it as JSON can hold it."""
        return {**dataclasses.asdict(self), "sparsity": self.sparsity}

    def __str__(self):
        parts = [self._head(), self._kernels(), self._skipped(), self._sizes(), self._flops()]
        for title, sentences in (("Does it run faster?", self.speed), ("What to do", self.advice)):
            parts.append("\n".join([title, *(wrapped(each, "- ") for each in sentences)]))
        return "\n\n".join(part for part in parts if part)

    def _head(self):
        total = sum(row.size for row in self.weights)
        pool = sum(row.size for row in self.prunable)
        return (
            f"{self.model}: {total:,} weights, {byte_size(self.weight_bytes)} in memory\n"
            f"{percent(self.sparsity)} of the {pool:,} that may be pruned are removed"
        )

    def _kernels(self):
        lines = [("may be pruned", "layer", "shape", "kept", "removed", "")]
        for row in self.prunable:
            shape = "x".join(map(str, row.shape))
            numbers = f"{row.num_kept:,}", percent(row.sparsity)
            lines.append((row.path, row.kind, shape, *numbers, row.pattern))
        return table(lines, right=(2, 3, 4)) if self.prunable else ""

    def _skipped(self):
        counts, sizes = collections.Counter(), collections.Counter()
        for row in self.weights:
            counts[row.skipped] += 1
            sizes[row.skipped] += row.size
        lines = [("skipped", "weights", "why")] + [
            (count_of(counts[why], "variable"), f"{sizes[why]:,}", why)
            for why in sorted(counts)
            if why
        ]
        return table(lines, right=(1,)) if len(lines) > 1 else ""

    def _sizes(self):
        dense = next(
            (form.size_bytes for form in self.forms if form.name == "SavedModel, dense"), None
        )
        lines, failed = [("on disk", "size", "gzip", "of dense", "made by")], {}
        for form in self.forms:
            if form.reason:
                failed.setdefault(form.reason, []).append(form.name)
            else:
                share = f"{form.size_bytes / dense:.2f}" if dense else ""
                sizes = byte_size(form.size_bytes), byte_size(form.gzip_bytes)
                lines.append((form.name, *sizes, share, form.made_by))
        whys = [wrapped(f"no {'; '.join(names)}: {why}") for why, names in failed.items()]
        return "\n".join([table(lines, right=(1, 2, 3)), *whys]) if self.forms else ""

    def _flops(self):
        counted = self.flops if self.flops.get("dense") else {}
        names = {"dense": "dense", "sparse_ideal": "if zeros took no time", "slim": "slim"}
        counts = ", ".join(f"{short(n)} {names[name]}" for name, n in counted.items())
        more = f" and {len(self.uncounted) - 3} more" if len(self.uncounted) > 3 else ""
        by_network = ", ".join(f"{short(n)} {name}" for name, n in self.flops_by_network.items())
        missing = f"Not counted: {', '.join(self.uncounted[:3])}{more}." if self.uncounted else ""
        return wrapped(
            " ".join(
                filter(
                    None,
                    [
                        counts and f"FLOPs for one input: {counts}.",
                        by_network and f"Dense, by network: {by_network}.",
                        missing,
                    ],
                )
            )
        )


def report(
    model: keras.Model,
    masks: Masks | Ticket | None = None,
    channel_masks: Masks | None = None,
    measure: bool = True,
) -> Report:
    """Return what was pruned, what was skipped and why, what each form takes, and what to do.

    It answers "why is my pruned model not smaller?" and "why is it not faster?" for any model:

        print(tt.report(model))

    Args:
        model: a built Keras model of any kind. It is left as it is.
        masks: masks of its weights, or a Ticket; by default its own zeros.
        channel_masks: what `channel_masks` returned, for the slim model that follows from it; by
            default what `channel_masks_of_zeros` does.
        measure: whether to write the model in every form, to say how large each is. This takes
            seconds, and for large models minutes: see `measure_forms`.

    Returns:
        A Report: print it, or take `.as_dict()`. What cannot be made or counted is in it with the
        reason, such as the exports of a model of several arguments.

    Raises:
        SettingError: if the model is not built, or masks are for another model.
    """
    check_model(model)
    networks_to_count(model)  # or else says which of them is not built
    masks = _masks_of(model) if masks is None else masks_for(model, masks)
    slim_model = _slim(model, channel_masks)
    rows = weight_rows(model, masks)
    pool = _pool(rows)
    flops, by_network, uncounted = _count(model, masks, slim_model)
    forms = measure_forms(model, slim_model) if measure else []
    optimizer_bytes = _optimizer_bytes(model)
    slim_call = _slim_call(channel_masks) if slim_model is not None else ""
    advice = advice_sentences(model, masks, pool, forms, optimizer_bytes, slim_call)
    return Report(
        model=model.name,
        weights=rows,
        weight_bytes=_num_bytes(model.variables),
        optimizer_bytes=optimizer_bytes,
        forms=tuple(forms),
        flops=flops,
        flops_by_network=by_network,
        uncounted=uncounted,
        speed=tuple(speed_sentences(model, pool, flops)),
        advice=tuple(advice),
    )


def _pool(rows) -> tuple[WeightRow, ...]:
    return tuple(row for row in rows if not row.skipped)


def _masks_of(model) -> Masks:
    """Return the masks that a model's zeros are; none where nothing may be pruned."""
    some = any(not why_not_prunable(variable) for variable in model.variables)
    return masks_of_zeros(model) if some else Masks({})


def _slim(model, channel_masks) -> keras.Model | None:
    """Return the slim model, if any of its channels goes."""
    masks = channel_masks_of_zeros(model) if channel_masks is None else channel_masks
    if not masks:
        return None
    made = slim(model, masks)
    return made if made.slim_report.params_after < made.slim_report.params_before else None


def _slim_call(channel_masks) -> str:
    masks = "tt.channel_masks_of_zeros(model)" if channel_masks is None else "channel_masks"
    return f"tt.slim(model, {masks})"


def _count(model, masks, slim_model) -> tuple[dict, dict, tuple]:
    """Return FLOPs by name, the dense ones by network, and what they leave out."""
    try:
        dense = count_flops(model, density=_density(model, masks))
        counts = {"dense": dense.forward, "sparse_ideal": dense.sparse_ideal}
        if slim_model is not None:
            counts["slim"] = count_flops(slim_model).forward
    except SettingError as error:
        return {}, {}, (str(error),)
    by_network = dense.forward_by_component
    return counts, by_network if len(by_network) > 1 else {}, dense.uncounted


def _density(model, masks) -> dict[str, float]:
    """Return variable name -> fraction that masks keep, of an average that of its weight."""
    names = names_of(model)
    kept = {name: mask.mean() for name, mask in masks.items()}
    for weight, average in averages_of(model):
        if names.get(id(weight)) in kept and id(average) in names:
            kept[names[id(average)]] = kept[names[id(weight)]]
    return kept


def _optimizer_bytes(model) -> int:
    # One that wraps another has the variables of both.
    variables = {id(v): v for each in nested_optimizers(model) for v in each.variables}
    return _num_bytes(variables.values())


def _num_bytes(variables) -> int:
    return sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
