"""The charts of a page: specifications of Vega-Lite, made with Altair.

A chart draws curves, whose points may come from one run or from several.
"""

from tf_tickets.lab.show.page.charts.distances import distance_chart
from tf_tickets.lab.show.page.charts.layers import layer_chart
from tf_tickets.lab.show.page.charts.look import Curve, unchecked
from tf_tickets.lab.show.page.charts.metric import metric_chart
from tf_tickets.lab.show.page.charts.points import (
    distance_points,
    layer_points,
    metric_points,
    training_points,
)
from tf_tickets.lab.show.page.charts.training import training_chart

__all__ = [
    "Curve",
    "distance_chart",
    "distance_points",
    "layer_chart",
    "layer_points",
    "metric_chart",
    "metric_points",
    "training_chart",
    "training_points",
    "unchecked",
]
