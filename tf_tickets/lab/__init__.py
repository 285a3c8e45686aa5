"""The laboratory: the papers' models, data, metrics and ways of pruning, and runs of them.

`MODELS`, `DATASETS`, `METHODS`, `METRICS` and `ARMS` hold a card for each; `register` adds one of
your own. `run(RunConfig(...))` makes a run. Nothing is loaded before it is used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
