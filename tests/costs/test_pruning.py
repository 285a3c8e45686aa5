import pytest

from tf_tickets.costs.flops import training_flops
from tf_tickets.costs.pruning import pruning_flops
from tf_tickets.errors import SettingError
from tf_tickets.lab import models


def test_pruning_takes_what_the_convention_says():
    assert pruning_flops({"mask_multiply": 3}, num_positions=10) == 30
    assert pruning_flops({"global_threshold": 2}, num_positions=8) == 2 * 3 * 8 * 3
    assert pruning_flops({"mask_distance": 4}, num_positions=64) == 4 * 2 * 64
    assert pruning_flops({"snip": 1}, forward_flops=100) == 300
    assert pruning_flops({"synflow": 100}, forward_flops=7) == 100 * 3 * 7
    assert pruning_flops({"grasp": 1}, forward_flops=100) == 2 * 300 + 400
    assert pruning_flops({"channel_surgery": 5}, num_positions=64, forward_flops=100) == 0
    several = {"mask_multiply": 1, "global_threshold": 1, "snip": 1}
    assert pruning_flops(several, num_positions=8, forward_flops=100) == 8 + 72 + 300
    assert pruning_flops({"global_threshold": 1}) == 0


def test_masks_are_no_part_of_the_bill():
    """The mask of DCGAN's weights, once per step, beside the step."""
    model = models.build("dcgan-table2", (32, 32, 3))
    masks = pruning_flops({"mask_multiply": 1}, num_positions=5_651_584)
    assert masks / training_flops(model, 1, 128) < 1e-4


@pytest.mark.parametrize(
    ("operations", "options", "message"),
    [
        ({"snipe": 1}, {}, "Unknown pruning operation 'snipe'. Choose one of: mask_multiply"),
        ({"snip": -1}, {}, "`snip` must be at least 0. Received: snip=-1"),
        ({"snip": 1}, {"forward_flops": -5}, "`forward_flops` must be at least 0"),
        ({"snip": 1}, {"num_positions": -5}, "`num_positions` must be at least 0"),
    ],
)
def test_an_unknown_operation_is_refused(operations, options, message):
    with pytest.raises(SettingError, match=message):
        pruning_flops(operations, **options)
