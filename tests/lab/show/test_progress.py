import io

import pytest
import rich.console
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tf_tickets.search.stages import Stage

from tf_tickets.lab.show.progress import ProgressBar, TensorBoardLog

DENSE, WINNING = Stage(0, 0, "dense"), Stage(0, 1, "winning")
RECORD = {"weight_sparsity": 0.2, "metrics": {"loss": 0.5, "fcd": 3.0}}


def run(observer):
    """Tell an observer of two trainings of one epoch of four steps."""
    observer.search_begins([DENSE, WINNING])
    for stage in (DENSE, WINNING):
        observer.stage_begins(stage)
        for step in range(4):
            observer.on_train_batch_end(step)
        observer.on_epoch_end(0, {"loss": 0.25})
        observer.stage_ends(stage, RECORD)


def shown(terminal):
    written = io.StringIO()
    console = rich.console.Console(file=written, force_terminal=terminal, width=120)
    with ProgressBar(4, console) as bar:
        bar.training_classifier(1, 4)
        run(bar)
        task = bar._progress.tasks[0]
    return written.getvalue(), task


def test_a_terminal_sees_stage_epoch_and_loss():
    text, task = shown(terminal=True)
    assert "seed 0 round 1/1 winning" in text
    assert (task.completed, task.total) == (8, 8)


def test_a_gan_shows_the_losses_of_both_networks():
    bar = ProgressBar(4, rich.console.Console(file=io.StringIO()))
    bar.search_begins([DENSE])
    bar.stage_begins(DENSE)
    for logs, losses in (
        ({"generator_loss": 0.5, "discriminator_loss": 1.25}, "generator_loss 0.5 discrimin"),
        ({"loss": 2.5, "kl": 1.0}, "loss 2.5"),
    ):
        bar.on_epoch_end(0, logs)
        text = bar._progress.tasks[0].description
        assert f"dense epoch 1 {losses}" in text and "nan" not in text and "kl" not in text


def test_elsewhere_there_is_a_line_for_each_training():
    text, _ = shown(terminal=False)
    lines = ["seed 0 round 0/1 dense: trained, 1 left", "seed 0 round 1/1 winning: trained, 0 left"]
    assert text.split("\n") == [*lines, ""]


def test_stages_of_an_earlier_run_are_no_work():
    written = io.StringIO()
    bar = ProgressBar(4, rich.console.Console(file=written))
    bar.search_begins([DENSE, WINNING])
    bar.stage_ends(DENSE, RECORD)
    task = bar._progress.tasks[0]
    assert (task.completed, task.total) == (0, 4) and not written.getvalue()


def scalars(folder):
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [
            (event.step, pytest.approx(float(tf.make_ndarray(event.tensor_proto))))
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def test_tensorboard_gets_losses_by_epoch_and_metrics_by_round(tmp_path):
    log = TensorBoardLog(tmp_path)
    run(log)
    assert scalars(tmp_path / "losses" / WINNING.name) == {"loss": [(4, 0.25)]}
    assert scalars(tmp_path / "rounds" / "seed-0" / "winning") == {
        "weight_sparsity": [(1, 0.2)],
        "loss": [(1, 0.5)],
        "fcd": [(1, 3.0)],
    }


def test_a_stage_of_an_earlier_run_is_not_logged_twice(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.search_begins([DENSE])
    log.stage_ends(DENSE, RECORD)
    assert not list(tmp_path.iterdir())
