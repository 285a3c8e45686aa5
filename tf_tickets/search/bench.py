"""The one compiled model that all stages of a search are trained with, and their files."""

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping

from tf_tickets.engines.stage import Stage, derived_seed
from tf_tickets.names import names_of
from tf_tickets.protocols import averages_of, named_components
from tf_tickets.pruning.hold import HeldMasks, hold
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.task import Task
from tf_tickets.search.training import built_optimizers
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot
from tf_tickets.tickets.ticket import Ticket


class Bench:
    """The model that every stage of a search is trained with, held to the masks of the stage.

    One model, because each new one would be traced anew, which takes longer than a small training.

    Args:
        task: builds the model.
        folder: an entered run folder, in which the stages' tickets are.
        seed: of the model that is built now; every stage sets its own weights.
        rewind_step: the optimizer step that survivors return to.
        scope: what may be pruned, as `prunable` takes it.
        starts: component -> what its survivors start from, as `TicketSearch` takes it.

    Attributes:
        model: compiled.
        kernels: what may be pruned, as `prunable` returns it.
        held: the `HeldMasks`; there while the search is under way.
        memory: what a draw wants to find again in a later stage.
    """

    def __init__(
        self,
        task: Task,
        folder: RunFolder,
        seed: int,
        rewind_step: int,
        scope=None,
        starts: Mapping[str, str] | None = None,
    ):
        self.task = task
        self.folder = folder
        self.rewind_step = rewind_step
        self.model = task.build(seed)
        self.kernels = prunable(self.model, scope)
        self.starts = dict(starts or {})
        self.held: HeldMasks | None = None
        self.memory: dict = {}
        self._fresh_optimizer = built_optimizers(self.model)
        self._num_kernel_weights = num_values(prunable(self.model))

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Hold the model to masks inside a `with` block; at first they keep everything."""
        with hold(self.model, self.all_kept) as self.held:
            yield

    @property
    def all_kept(self) -> Masks:
        """Masks that keep all that may be pruned."""
        return Masks.all_kept(self.kernels)

    def start_from(self, weights: dict, masks: Masks) -> None:
        """Give the model weights, masks and optimizers without state."""
        restore_snapshot(self.model, {**self._fresh_optimizer, **weights})
        self.held.assign(masks)

    def prepare(self, dense: dict | None) -> None:
        """Let the task prepare the model for a training from the weights that it has now."""
        if self.task.prepare:
            self.task.prepare(self.model, dense)
            self.held.apply()

    def fresh_weights(self, stage: Stage) -> dict:
        """Return new weights, drawn for this stage alone."""
        return take_snapshot(self.task.build(derived_seed(stage.seed, stage.round, stage.arm)))

    def redrawn(self, names: Collection[str], everything: bool = False) -> frozenset[str]:
        """Return the names of what a control with fresh weights draws anew.

        That is the components which hold what may be pruned. Of these, one that starts from what
        has been trained is no part of the question, unless there is no other.

        Args:
            names: of the whole state of the model.
            everything: whether to draw the components anew, too, that are not pruned.
        """
        names_by_id, kernels = names_of(self.model), set(self.kernels.names)
        parts = {
            component: {names_by_id[id(v)] for v in part.variables if id(v) in names_by_id}
            for component, part in named_components(self.model).items()
        }
        pruned = {component for component, inside in parts.items() if inside & kernels}
        if everything or pruned == parts.keys():
            chosen = set(names)
        else:
            chosen = kernels.union(*(parts[component] for component in pruned))
            pairs = averages_of(self.model)
            chosen |= {names_by_id[id(a)] for v, a in pairs if names_by_id[id(v)] in chosen}
        trained = {component for component, start in self.starts.items() if start == "trained"}
        untrained = chosen.difference(*(parts[component] for component in trained))
        return frozenset(untrained if untrained & kernels else chosen)

    def rewind_weights(self, stage: Stage) -> dict:
        """Return the weights of the rewind point of the stage's seed."""
        return self._load(stage.dense, paths.REWIND).weights

    def record(self, stage: Stage) -> dict:
        """Return the record of a finished stage."""
        return json.loads((self.folder.path / stage.name / paths.RESULT).read_text())

    def ticket(self, stage: Stage) -> Ticket:
        """Return the ticket that a finished stage started from."""
        return self._load(stage, paths.TICKET)

    def trained(self, stage: Stage) -> Ticket:
        """Return the masks and the weights that a finished stage ended with."""
        return self._load(stage, paths.TRAINED)

    def _load(self, stage, name):
        return Ticket.load(self.folder.path / stage.name / name)

    def counts(self, kept: int | None = None) -> dict:
        """Return what masks remove, as a stage's record holds it.

        Args:
            kept: how many weights they keep; by default what those of now do.
        """
        pool = num_values(self.kernels)
        masks = self.held.masks
        removed = masks.size - masks.num_kept if kept is None else pool - kept
        return {
            "weight_sparsity": removed / pool,
            "network_sparsity": removed / self._num_kernel_weights,
            "params": num_values(self.model.trainable_variables),
            "prunable": pool,
            "kept": pool - removed,
        }
