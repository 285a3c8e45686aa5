"""Modules that are imported when they are first used."""

import importlib


class LazyModule:
    """Stands for a module, which is imported when an attribute of it is first asked for.

    `lazy_loader.load` would do the same by a placeholder in `sys.modules`, at which TensorFlow, as
    it looks for Keras while Keras looks for TensorFlow, was seen to fail.

    Args:
        name: of the module.
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)
