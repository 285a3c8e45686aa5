"""TO BE REPLACED."""


def named(variables) -> dict:
    return {v.path: v for v in variables}


def variable_names(model) -> dict:
    return {v.path: v for v in model.variables}
