"""What makes the stages of searches: one after another, or many at once.

A search is a `Plan`: stages, and what each is made from. `execute` hands every stage whose sources
are done to an engine, and keeps what comes back in the run folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
