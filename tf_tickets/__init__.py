"""Winning lottery tickets in deep generative models, with Keras 3 and TensorFlow.

`__init__.pyi` lists the public names. Each is loaded when it is first used: `import tf_tickets as
tt` alone loads no TensorFlow, so that a command can refuse a bad option at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
