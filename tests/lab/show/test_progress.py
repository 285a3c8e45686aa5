import io

import pytest
import rich.console
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from tf_tickets.engines import Observer, Progress, Stage
from tf_tickets.errors import FileError
from tf_tickets.lab.show.progress import ProgressBar, TensorBoardLog

DENSE, WINNING = Stage(0, 0, "dense"), Stage(0, 1, "winning")
RECORD = {"weight_sparsity": 0.2, "metrics": {"loss": 0.5, "fcd": 3.0}}


def run(observer, shown=lambda: None):
    """Tell an observer of two trainings of one epoch of four steps."""
    observer.search_begins([DENSE, WINNING])
    for stage in (DENSE, WINNING):
        observer.stage_begins(stage)
        observer.stage_goes_on(stage, Progress(3))
        observer.stage_goes_on(stage, Progress(1, {"loss": 0.25}))
        shown()
        observer.stage_ends(stage, RECORD)


def shown(terminal):
    written = io.StringIO()
    console = rich.console.Console(file=written, force_terminal=terminal, width=120)
    with ProgressBar(console) as bar:
        run(bar.of(4), bar._progress.refresh)
    return written.getvalue(), of_all(bar)


def of_all(bar):
    return bar._progress.tasks[0]


def under_way(bar):
    """Return the description and the steps of each training that is under way."""
    return [(task.description, task.completed) for task in bar._progress.tasks[1:]]


@pytest.fixture
def bar():
    return ProgressBar(rich.console.Console(file=io.StringIO()))


def test_a_terminal_sees_stage_epoch_and_loss():
    text, task = shown(terminal=True)
    assert "seed 0 round 1/1 winning" in text
    assert "winning epoch 1 loss 0.25" in text
    assert (task.completed, task.total) == (8, 8)


def test_a_gan_shows_the_losses_of_both_networks(bar):
    watching = bar.of(4)
    watching.search_begins([DENSE])
    for logs, losses in (
        ({"generator_loss": 0.5, "discriminator_loss": 1.25}, "generator_loss 0.5 discrimin"),
        ({"loss": 2.5, "kl": 1.0}, "loss 2.5"),
    ):
        watching.stage_begins(DENSE)
        watching.stage_goes_on(DENSE, Progress(1, logs))
        ((text, _),) = under_way(bar)
        assert f"dense epoch 1 {losses}" in text and "nan" not in text and "kl" not in text


def test_what_is_done_before_a_training_is_said_until_its_first_epoch_ends(bar):
    watching = bar.of(4)
    watching.search_begins([DENSE])
    watching.stage_begins(DENSE)
    watching.stage_goes_on(DENSE, Progress(0, doing="training the classifier, 25%"))
    assert under_way(bar) == [("seed 0 round 0/0 dense, training the classifier, 25%", 0)]
    assert of_all(bar).completed == 0
    watching.stage_goes_on(DENSE, Progress(4, {"loss": 0.5}))
    assert under_way(bar) == [("seed 0 round 0/0 dense epoch 1 loss 0.5", 4)]


def test_elsewhere_there_is_a_line_for_each_training():
    text, _ = shown(terminal=False)
    lines = ["seed 0 round 0/1 dense: trained, 1 left", "seed 0 round 1/1 winning: trained, 0 left"]
    assert text.split("\n") == [*lines, ""]


def test_stages_of_an_earlier_run_are_no_work():
    written = io.StringIO()
    bar = ProgressBar(rich.console.Console(file=written))
    watching = bar.of(4)
    watching.search_begins([DENSE, WINNING])
    watching.stage_ends(DENSE, RECORD)
    task = of_all(bar)
    assert (task.completed, task.total) == (0, 4) and not written.getvalue()


def test_several_trainings_are_shown_side_by_side_and_counted_together(bar):
    other = Stage(1, 0, "dense")
    watching = bar.of(4)
    watching.search_begins([DENSE, WINNING, other])
    for stage in (DENSE, other):
        watching.stage_begins(stage)
    watching.stage_goes_on(other, Progress(2))
    watching.stage_goes_on(DENSE, Progress(1))
    watching.stage_goes_on(other, Progress(1, {"loss": 0.5}))
    names = ["seed 0 round 0/1 dense", "seed 1 round 0/1 dense epoch 1 loss 0.5"]
    assert under_way(bar) == [(names[0], 1), (names[1], 3)]
    assert (of_all(bar).completed, of_all(bar).total) == (4, 12)
    watching.stage_ends(DENSE, RECORD)
    assert under_way(bar) == [(names[1], 3)]
    assert (of_all(bar).description, of_all(bar).completed) == ("2 trainings left", 7)


def test_a_training_that_is_begun_again_counts_from_its_start(bar):
    watching = bar.of(4)
    watching.search_begins([DENSE])
    watching.stage_begins(DENSE)
    watching.stage_goes_on(DENSE, Progress(3, {"loss": 0.5}))
    watching.stage_begins(DENSE)  # as its process was lost
    assert under_way(bar) == [("seed 0 round 0/0 dense", 0)] and of_all(bar).completed == 0
    watching.stage_goes_on(DENSE, Progress(2, {"loss": 0.25}))
    assert under_way(bar) == [("seed 0 round 0/0 dense epoch 1 loss 0.25", 2)]
    watching.stage_ends(DENSE, RECORD)
    assert (of_all(bar).completed, of_all(bar).total) == (4, 4) and not under_way(bar)


def test_a_training_from_the_rewind_point_counts_as_a_whole_one(bar):
    watching = bar.of(4)
    watching.search_begins([WINNING])
    watching.stage_begins(WINNING)
    watching.stage_goes_on(WINNING, Progress(2))
    watching.stage_ends(WINNING, RECORD)
    assert (of_all(bar).completed, of_all(bar).total) == (4, 4)


def test_several_searches_share_one_bar_and_have_names(bar):
    watching = [bar.of(4, "first"), bar.of(10, "second")]
    for each in watching:
        assert isinstance(each, Observer)
        each.search_begins([DENSE])
        each.stage_begins(DENSE)
    names = ["first seed 0 round 0/0 dense", "second seed 0 round 0/0 dense"]
    assert under_way(bar) == [(name, 0) for name in names]
    assert (of_all(bar).description, of_all(bar).total) == ("2 trainings left", 14)
    watching[1].stage_ends(DENSE, RECORD)
    assert (of_all(bar).description, of_all(bar).completed) == ("1 training left", 10)


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


def test_the_log_of_a_training_that_is_begun_again_begins_anew(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.search_begins([DENSE, WINNING])
    log.stage_begins(DENSE)
    log.stage_begins(WINNING)
    log.stage_goes_on(DENSE, Progress(4, {"loss": 9.0}))
    log.stage_goes_on(WINNING, Progress(2, {"loss": 0.5}))
    log.stage_begins(DENSE)  # as its process was lost
    log.stage_goes_on(DENSE, Progress(1))
    log.stage_goes_on(DENSE, Progress(3, {"loss": 0.25}))
    for stage in (WINNING, DENSE):
        log.stage_ends(stage, RECORD)
    assert scalars(tmp_path / "losses" / DENSE.name) == {"loss": [(4, 0.25)]}
    assert scalars(tmp_path / "losses" / WINNING.name) == {"loss": [(2, 0.5)]}


@pytest.mark.parametrize(
    ("record", "how"),
    [
        ({"collapsed": "NaN.", "attempts": 2}, "collapsed"),
        ({"collapsed": "Not trained: so.", "attempts": 0}, "not trained"),
    ],
)
def test_a_line_says_if_a_training_collapsed_or_was_none(record, how):
    written = io.StringIO()
    watching = ProgressBar(rich.console.Console(file=written)).of(4)
    watching.search_begins([DENSE])
    watching.stage_begins(DENSE)
    watching.stage_ends(DENSE, record)
    assert written.getvalue() == f"seed 0 round 0/0 dense: {how}, 0 left\n"


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    log = TensorBoardLog(tmp_path / "file")
    log.search_begins([DENSE])
    with pytest.raises(FileError, match=r"Cannot write the TensorBoard log in .*file: ") as refused:
        run(log)
    assert "\n" not in str(refused.value) and "run the same command again" in str(refused.value)


@pytest.mark.parametrize("moment", ["stage_goes_on", "stage_ends"])
def test_a_full_disk_is_named(tmp_path, moment, monkeypatch):
    log = TensorBoardLog(tmp_path)
    log.stage_begins(DENSE)

    def no_room(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "events; No space left on device")

    monkeypatch.setattr(tf.summary, "scalar", no_room)
    told = Progress(4, {"loss": 1.0}) if moment == "stage_goes_on" else RECORD
    with pytest.raises(FileError, match=r"TensorBoard log in .*No space left.*make room"):
        getattr(log, moment)(DENSE, told)
