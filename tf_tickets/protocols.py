"""TO BE REPLACED."""


def components_of(model):
    return getattr(model, "components", {})
