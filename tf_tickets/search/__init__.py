"""The searches for tickets, what they are made of, and the verdict on what they find.

A search is a `Task`, a draw (how a round's masks come about) and arms (what they are trained from).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
