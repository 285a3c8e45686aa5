"""Misuses of searches, their tasks and draws, and of the verdict on records."""

import functools

import numpy as np

import tf_tickets as tt
from tf_tickets import SettingError
from tf_tickets.search import (
    EarlyBirdSearch,
    LoopedEarlyBird,
    LoopedPruning,
)

ERROR = SettingError
S = tt.search


def early(g, channel_sparsity=(0.5,), draw_every=2, **options):
    return EarlyBirdSearch(g.task(), channel_sparsity, draw_every=draw_every, **options)


def looped(g, model=None, train=lambda model, data: None, rounds=1, **options):
    model = g.net if model is None else model
    return LoopedPruning(
        model, None, train, **{"schedule": g.schedule, "rounds": rounds, **options}
    )


def bird(g, model=None, train=lambda model, data: None, **options):
    model = g.conv if model is None else model
    return LoopedEarlyBird(model, None, train, **{"channel_sparsity": 0.5, **options})


ODD = {"a": np.ones(3)}
REWIND = tt.callbacks.RewindPoint(1)
judge = functools.partial(tt.search.judge, metric="fcd")
# tt.search.EarlyBirdSearch, tt.search.LoopedPruning and tt.search.LoopedEarlyBird by shorter names.

MISUSES = {
    "wrong type": [
        (lambda g: g.task(build=None), "`build` must be a function"),
        (lambda g: g.task(build=g.net), "`build` must be a function"),
        (lambda g: g.task(train="fit"), "`train` must be a function"),
        (lambda g: g.task(evaluate={"loss": 1.0}), "`evaluate` must be a function"),
        (lambda g: g.task(num_steps="10"), "`num_steps` must be a whole number"),
        (lambda g: g.task(num_steps=2.5), "`num_steps` must be a whole number"),
        (lambda g: g.task(evaluations="2"), "`evaluations` must be a whole number"),
        (lambda g: g.task(directions=["loss"]), "`directions` must map"),
        (lambda g: g.task(watch=3), "`watch` must be a function"),
        (lambda g: S.ByMagnitude(0.2), "`schedule` must be a PruningSchedule"),
        (lambda g: S.ByScore("snip", g.schedule), "`score` must be a function"),
        (lambda g: S.ByScore(tt.snip_scores, 0.2), "`schedule` must be a PruningSchedule"),
        (lambda g: S.ByScore(tt.snip_scores, g.schedule, steps=2.5), "`steps` must be a whole"),
        (lambda g: S.AsSparseAs([g.ticket], 1), "`tickets` must be a function"),
        (lambda g: S.AsSparseAs(lambda seed, number: g.ticket, "1"), "`rounds` must be a whole"),
        (lambda g: S.Random(g.ticket), "`tickets` must be a function"),
        (lambda g: S.Transferred(None), "`tickets` must be a function"),
        (lambda g: g.search(rounds="3"), "`rounds` must be a whole number"),
        (lambda g: g.search(rounds=1.5), "`rounds` must be a whole number"),
        (lambda g: g.search(task=g.net), "`task` must be a tt.search.Task"),
        (lambda g: g.search(draw="imp"), "`draw` must be"),
        (lambda g: g.search(draw=g.schedule), "`draw` must be"),
        (lambda g: g.search(rewind_step="start"), "`rewind_step` must be a whole number"),
        (lambda g: g.search(rewind_step=0.5), "`rewind_step` must be a whole number"),
        (lambda g: g.search(arms="winning"), "`arms` must"),
        (lambda g: g.search(arms=S.Winning()), "`arms` must"),
        (lambda g: g.search(arms=["winning"]), "`arms` must"),
        (lambda g: g.search(arms=[S.Winning]), "`arms` must"),
        (lambda g: g.search(starts=["encoder"]), "`starts` must map"),
        (lambda g: g.search(retries="twice"), "`retries` must be a whole number"),
        (lambda g: g.run(g.search(), 0), "`seeds` must be different whole numbers"),
        (lambda g: g.run(g.search(), None), "`seeds` must be different whole numbers"),
        (lambda g: g.run(g.search(), ["0"]), "`seeds` must be different whole numbers"),
        (lambda g: g.search().run([0], g.new()), "`folder` must be a tt.RunFolder"),
        (lambda g: g.search().run([0], None), "`folder` must be a tt.RunFolder"),
        (lambda g: g.run(g.search(), engine="here"), "`engine` must be"),
        (lambda g: early(g, 0.5), "`channel_sparsity` must be one number or more"),
        (lambda g: early(g, "half"), "`channel_sparsity` must be one number or more"),
        (lambda g: early(g, draw_every="epoch"), "`draw_every` must be a whole number"),
        (lambda g: early(g, draw_every=1.5), "`draw_every` must be a whole number"),
        (lambda g: early(g, scale_penalty="L1"), "`scale_penalty` must be a number"),
        (lambda g: early(g, round_to=1.5), "`round_to` must be a whole number"),
        (lambda g: EarlyBirdSearch(None, [0.5], draw_every=2), "`task` must be a tt.search.Task"),
        (lambda g: early(g).run([0], None), "`folder` must be a tt.RunFolder"),
        (lambda g: S.rebuild_slim(g.conv, g.new(), g.new()), "`build` must be a function"),
        (lambda g: looped(g, train="fit"), "`train` must be a function"),
        (lambda g: looped(g, train=None), "`train` must be a function"),
        (lambda g: looped(g, "net"), "`model` must be a Keras model"),
        (lambda g: looped(g, rounds="1"), "`rounds` must be a whole number"),
        (lambda g: looped(g, schedule=0.5), "`schedule` must be a PruningSchedule"),
        (lambda g: looped(g, rewind_point=10), "`rewind_point` must be"),
        (lambda g: bird(g, train=None), "`train` must be a function"),
        (lambda g: bird(g, "net"), "`model` must be a Keras model"),
        (lambda g: bird(g, channel_sparsity="half"), "`channel_sparsity` must be a number"),
        (lambda g: bird(g).run("10"), "`max_epochs` must be a whole number"),
        (lambda g: judge(None), "`records` must be"),
        (lambda g: judge([1, 2]), "`records` must be"),
        (lambda g: judge("results.jsonl"), "`records` must be"),
        (lambda g: judge(g.records, tolerance="10 %"), "`tolerance` must be a number"),
        (lambda g: S.early_stopping_steps(g.records, "fcd", margin="near"), "`margin` must be"),
        (lambda g: S.mean_metrics(None, 1, "winning"), "`records` must be"),
        (lambda g: S.watched_metrics(3), "`records` must be"),
        (lambda g: S.followed_metric(3, "fcd", {}), "`records` must be"),
        (lambda g: S.follow_curve({"loss": 1}), "`curve` must be"),
        (lambda g: S.follow_curve([0.5, 0.4]), "`curve` must be"),
        (lambda g: tt.engines.Processes("two"), "`workers` must be a whole number"),
        (lambda g: tt.engines.Processes(2, workers_per_gpu=0.5), "`workers_per_gpu` must be"),
        (lambda g: tt.engines.use_threads("two"), "`threads` must be a whole number"),
        (lambda g: tt.engines.execute(g.search()), "`plans` must be"),
    ],
    "wrong shape": [
        (lambda g: g.run(g.search(task=g.task(evaluate=lambda model: 1.0))), "must return a pair"),
        (lambda g: g.run(g.search(task=g.task(evaluate=lambda m: ([1.0], {})))), "return metrics"),
        (lambda g: g.run(g.search(task=g.task(evaluate=lambda m: ({}, {"net": m})))), "protocol"),
        (lambda g: g.run(g.search(task=g.task(build=lambda seed: None))), "must be a Keras model"),
        (
            lambda g: g.run(g.search(draw=S.ByScore(lambda *_: {}, g.schedule))),
            "There are no scores",
        ),
        (lambda g: g.run(g.search(draw=S.ByScore(lambda *_: ODD, g.schedule))), "of different var"),
    ],
    "wrong range": [
        (lambda g: g.task(num_steps=0), "`num_steps` must be at least 1"),
        (lambda g: g.task(evaluations=0), "`evaluations` must be"),
        (lambda g: g.task(evaluations=11), "`evaluations` must be from 1 to the 10 steps"),
        (lambda g: S.ByMagnitude(g.schedule, "all"), "`pool` must be one of"),
        (lambda g: S.ByScore(tt.snip_scores, g.schedule, steps=0), "`steps` must be at least 1"),
        (lambda g: S.Random(redraws="some"), "`redraws` must be component or all"),
        (lambda g: g.search(rounds=0), "`rounds` must be at least 1"),
        (lambda g: g.search(rounds=9), "prunes nothing in round 4"),
        (lambda g: g.search(rewind_step=10), "`rewind_step` must lie within the training"),
        (lambda g: g.search(rewind_step=-1), "`rewind_step` must lie within the training"),
        (lambda g: g.search(arms=[]), "`arms` must include Winning()"),
        (lambda g: g.search(arms=[S.Random()]), "`arms` must include Winning()"),
        (lambda g: g.search(arms=[S.Winning(), S.Winning()]), "no arm twice"),
        (lambda g: g.search(starts={"encoder": "old"}), "`starts` must be one of"),
        (lambda g: g.search(retries=-1), "`retries` must be at least 0"),
        (lambda g: g.run(g.search(), []), "one at least"),
        (lambda g: g.run(g.search(), [0, 0]), "`seeds` must be different"),
        (lambda g: g.run(g.search(), [-1]), "at least 0"),
        (lambda g: early(g, []), "`channel_sparsity` must be one number or more"),
        (lambda g: early(g, [0.5, 0.3]), "rising"),
        (lambda g: early(g, [0.5, 0.5]), "rising"),
        (lambda g: early(g, [50]), "Did you mean 0.5?"),
        (lambda g: early(g, draw_every=0), "`draw_every` must be"),
        (lambda g: early(g, draw_every=10), "`draw_every` must be from 1 to below the 10 steps"),
        (lambda g: early(g, mask_distance=2), "`mask_distance` must be in (0, 1]"),
        (lambda g: early(g, look_back=0), "`look_back` must be at least 1"),
        (lambda g: early(g, scale_penalty=-1), "`scale_penalty` must be at least 0"),
        (lambda g: early(g, round_to=0), "`round_to` must be at least 1"),
        (lambda g: looped(g, rounds=0), "`rounds` must be at least 1"),
        (lambda g: looped(g, rounds=9), "prunes nothing in round 4"),
        (lambda g: looped(g, pool="component"), "`pool` must be 'model' or 'layer'"),
        (lambda g: bird(g).run(0), "`max_epochs` must be at least 1"),
        (lambda g: bird(g, mask_distance=0), "`mask_distance` must be in (0, 1]"),
        (lambda g: judge(g.records, tolerance=-0.1), "`tolerance` must be at least 0"),
        (lambda g: judge(g.records, tolerance=np.nan), "`tolerance` must be"),
        (lambda g: S.early_stopping_steps(g.records, "fcd", margin=-1), "`margin` must be"),
        (lambda g: tt.engines.Processes(0), "`workers` must be at least 1"),
        (lambda g: tt.engines.use_threads(0), "`threads` must be at least 1"),
        (lambda g: tt.engines.share(4, workers=0), "`workers` must be at least 1"),
    ],
    "wrong order": [
        (lambda g: judge([]), "no record of the dense arm"),
        (lambda g: judge(g.records[1:2]), "no record of the dense arm"),
        (lambda g: S.last_round_to_ask(g.records, "fid"), "There is no metric 'fid'"),
        (lambda g: S.early_stopping_steps([], "fcd"), "no record of the dense arm"),
        (lambda g: S.followed_metric([], "fcd", {}), "No training was watched"),
        (lambda g: g.search().run([0], tt.RunFolder(g.new(), {})), "with"),
        (lambda g: looped(g, g.task().build(0), rewind_point=REWIND).run(), "was not reached"),
    ],
    "wrong model": [
        (lambda g: judge(g.records, metric="fid"), "There is no metric 'fid'"),
        (lambda g: judge(g.records, of="test_metrics"), "There is no metric 'fcd'"),
        (lambda g: judge(g.records, arm="wining"), "no record of the arm 'wining'"),
        (lambda g: S.early_stopping_steps(g.records, "fid"), "There is no metric 'fid'"),
        (lambda g: g.run(g.search(scope="decoder")), "none here"),
        (lambda g: g.run(g.search(starts={"decoder": "fresh"})), "is not a component"),
        (lambda g: g.run(g.search(draw=S.ByMagnitude(g.schedule, "component"))), "component"),
        (lambda g: g.run(early(g)), "no batch or group normalisation"),
        (lambda g: looped(g, g.subclassed, scope="decoder").run(), "none here"),
        (lambda g: bird(g, g.net).run(1), "no batch or group normalisation"),
    ],
}
