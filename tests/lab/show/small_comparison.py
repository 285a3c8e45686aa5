"""Rows of a comparison, made up."""

from tf_tickets.lab.comparison import Row


def row(
    method,
    sparsity=0.0,
    arm="winning",
    values=(1.0, 3.0),
    training_flops=None,
    seconds=None,
    **others,
) -> Row:
    """Return a row whose FLOPs and seconds, those of all seeds alike, fall with the sparsity."""
    flops = 100.0 * (1 - sparsity) if training_flops is None else training_flops
    seconds = 60.0 * (1 - sparsity) if seconds is None else seconds
    numbers = {
        "asked_sparsity": sparsity,
        "weight_sparsity": sparsity,
        "num_collapsed": 0,
        "weights": 1000.0,
        "flops": dict.fromkeys(range(len(values)), flops),
        "search_flops": 0,
        "step_seconds": dict.fromkeys(range(len(values)), seconds),
        "search_seconds": 0.0,
        "draw_seconds": None,
        "tracing_seconds": 2.0,
        "evaluation_seconds": None,
        "images_per_second": 6.4,
        **others,
    }
    return Row(method=method, arm=arm, values=dict(enumerate(values)), **numbers)
