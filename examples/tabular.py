"""Finds how sparse a network for tabular data can be, and whether its tickets win.

Usage: python examples/tabular.py

The data are 569 real tumors, each described by 30 numbers, that come with scikit-learn. The search
is iterative magnitude pruning with rewinding to step 8, three seeds and the random control. Almost
any network learns a table this small: look how near the random arm comes. The run folder is a
temporary one here. With a permanent folder, an interrupted search can go on.
"""

import tempfile

import keras
import numpy as np
import sklearn.datasets
import sklearn.model_selection
import sklearn.preprocessing

import tf_tickets as tt

ROUNDS = 3
STEPS = 60
BATCH_SIZE = 32


def main():
    """Search with three seeds, and print each round's accuracy beside that of its control."""
    table = sklearn.datasets.load_breast_cancer()
    features = sklearn.preprocessing.StandardScaler().fit_transform(table.data)
    train_x, test_x, train_y, test_y = sklearn.model_selection.train_test_split(
        features, table.target, random_state=0
    )

    def train(model, seed, start_step, stop_step):
        batches = np.random.default_rng(seed).integers(len(train_x), size=(STEPS, BATCH_SIZE))
        for batch in batches[start_step:stop_step]:
            model.train_on_batch(train_x[batch], train_y[batch])

    def evaluate(model):
        loss, accuracy = model.evaluate(test_x, test_y, verbose=0)
        return {"loss": loss, "accuracy": accuracy}, {"rows": len(test_x)}

    task = tt.search.Task(
        build, train, evaluate, num_steps=STEPS, directions={"accuracy": True, "loss": False}
    )
    draw = tt.search.ByMagnitude(tt.IterativeSparsity(rate=0.6, rounds=ROUNDS))
    search = tt.search.TicketSearch(task, draw, ROUNDS, rewind_step=8)
    settings = {"model": "tabular", "steps": STEPS}
    with (
        tempfile.TemporaryDirectory() as path,
        tt.RunFolder(path, settings) as folder,
    ):
        records = search.run(seeds=[0, 1, 2], folder=folder)

    dense = tt.search.mean_metrics(records, 0, "dense")
    print(f"{'sparsity':>9} {'winning':>9} {'random':>9}   accuracy; dense {dense['accuracy']:.3f}")
    for number in range(1, ROUNDS + 1):
        sparsity = next(r["weight_sparsity"] for r in records if r["round"] == number)
        means = [tt.search.mean_metrics(records, number, arm) for arm in ("winning", "random")]
        print(f"{sparsity:9.2%}", *(f"{mean['accuracy']:9.3f}" for mean in means))
    verdict = tt.search.judge(records, "loss", tolerance=0.1)
    found = verdict.comparison
    print(f"{verdict.kind}: round {found.round}" if found else "no round wins, by the loss")


def build(seed):
    """Return a network of three dense layers, drawn from a seed."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            keras.layers.Dense(128, "relu", name="first"),
            keras.layers.Dense(64, "relu", name="second"),
            keras.layers.Dense(1, "sigmoid", name="out"),
        ],
        name="net",
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    main()
