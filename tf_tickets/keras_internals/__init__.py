"""The only door to what Keras keeps private, so that an upgrade can break one folder alone.

Keras has no public way to ask which layer calls which, what an optimizer remembers of a variable,
or for a training step to be traced again. Each function here is such a question, asked once. No
other part of the package uses an underscore name of Keras (tests/test_architecture.py), and each
function has a test of its own (tests/keras_internals).

Overriding what TensorFlow documents for subclasses, such as `TrackableResource._create_resource`,
is not such a use, and stands where it is needed.
"""

from tf_tickets.keras_internals.copies import (
    copy_layer,
    copy_network,
    copy_with_state,
)
from tf_tickets.keras_internals.graphs import (
    Call,
    calls_of,
    check_model,
    graph_of,
    is_network,
    kind_of,
)
from tf_tickets.keras_internals.layers import (
    Attention,
    adapted_state,
    attention_of,
    attributes_of,
    built_shapes,
    constraints_of,
    flattened,
    holders_of,
    layers_of,
    own_attributes,
    parts_of,
    update_constants,
    why_not_cut,
)
from tf_tickets.keras_internals.optimizers import (
    build_for,
    innermost,
    moving_averages,
    nested_optimizers,
    schedule_of,
    slots_of,
    trained_variables,
    unbuilt_copy,
)
from tf_tickets.keras_internals.training import (
    compile_arguments,
    retrace,
    train_step_of,
)

__all__ = [
    "Attention",
    "Call",
    "adapted_state",
    "attention_of",
    "attributes_of",
    "build_for",
    "built_shapes",
    "calls_of",
    "check_model",
    "compile_arguments",
    "constraints_of",
    "copy_layer",
    "copy_network",
    "copy_with_state",
    "flattened",
    "graph_of",
    "holders_of",
    "innermost",
    "is_network",
    "kind_of",
    "layers_of",
    "moving_averages",
    "nested_optimizers",
    "own_attributes",
    "parts_of",
    "retrace",
    "schedule_of",
    "slots_of",
    "train_step_of",
    "trained_variables",
    "unbuilt_copy",
    "update_constants",
    "why_not_cut",
]
