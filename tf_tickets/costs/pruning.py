"""How many floating-point operations (FLOPs) pruning takes."""

import math
from collections.abc import Mapping

from tf_tickets.errors import SettingError, check_at_least, check_mapping


def pruning_flops(
    operations: Mapping[str, int], num_positions: int = 0, forward_flops: int = 0
) -> int:
    """Return how many FLOPs the operations of pruning take, by convention.

    What a run takes in all is the sum of this and of `training_flops`. However an operation is
    programmed, its figure is the same: a threshold counts as a sort.

    Args:
        operations: name -> how often it was done; "mask_multiply" (1 for each position),
            "global_threshold" (3 N log2 N, for N positions), "mask_distance" (2 N), "snip" (3 F,
            for a forward pass of F: one forward and one backward pass), "synflow" (3 F for each
            round), "grasp" (10 F: two gradients of 3 F and a product with the Hessian of 4 F), or
            "channel_surgery" (0).
        num_positions: N, the positions of the masks: weights, or channels.
        forward_flops: F, of the scored networks on the batch that they are scored on; SynFlow's
            is of one input.

    Raises:
        SettingError: if there is no such operation, or a number is negative.
    """
    check_mapping("operations", operations, "names of operations to how often they were done")
    check_at_least("num_positions", num_positions, 0)
    check_at_least("forward_flops", forward_flops, 0)
    each = {
        "mask_multiply": num_positions,
        "global_threshold": round(3 * num_positions * math.log2(max(1, num_positions))),
        "mask_distance": 2 * num_positions,
        "snip": 3 * forward_flops,
        "synflow": 3 * forward_flops,
        "grasp": 10 * forward_flops,
        "channel_surgery": 0,
    }
    for name, number in operations.items():
        if name not in each:
            known = ", ".join(each)
            raise SettingError(f"Unknown pruning operation {name!r}. Choose one of: {known}.")
        check_at_least(name, number, 0)
    return sum(number * each[name] for name, number in operations.items())
