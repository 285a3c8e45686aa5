"""Rows of a comparison, made up."""

from tf_tickets.lab.comparison import Row


def row(method, sparsity=0.0, arm="winning", values=(1.0, 3.0), **others) -> Row:
    """Return a row whose FLOPs and seconds fall with the sparsity."""
    numbers = {
        "asked_sparsity": sparsity,
        "weight_sparsity": sparsity,
        "num_collapsed": 0,
        "weights": 1000.0,
        "training_flops": 100.0 * (1 - sparsity),
        "search_flops": 0,
        "seconds": 60.0 * (1 - sparsity),
        "search_seconds": 0.0,
        "draw_seconds": None,
        "tracing_seconds": 2.0,
        "evaluation_seconds": None,
        "images_per_second": 6.4,
        **others,
    }
    return Row(method=method, arm=arm, values=dict(enumerate(values)), **numbers)
