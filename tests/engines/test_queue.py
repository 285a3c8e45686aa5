"""The order in which stages are handed out."""

import heapq
import itertools
import types

import numpy as np
import pytest

from tests.engines.toy import ARMS, sources_of, stages_of
from tf_tickets.engines import Item, Queue, Stage


def plan(**size):
    return plan_of(stages_of(**size))


def plan_of(stages, sources=sources_of, source_plan=None):
    return types.SimpleNamespace(stages=stages, sources=sources, source_plan=source_plan)


def drain(queue):
    """The items in the order in which a single worker takes them."""
    items = []
    while item := queue.take():
        items.append(item)
        queue.finish(item)
    return items


def test_one_process_alone_keeps_the_order_of_the_stages():
    both = [plan(), plan(seeds=(7,))]
    items = drain(Queue(both, in_turn=True))
    assert [item.stage for item in items] == [*both[0].stages, *both[1].stages]


@pytest.mark.parametrize("in_turn", [True, False])
def test_nothing_is_handed_out_before_its_sources_are_done(in_turn):
    queue, done = Queue([plan(arms=ARMS, rounds=3)], in_turn), set()
    while not queue.is_finished:
        taken = [item for item in iter(queue.take, None)]
        assert all(done.issuperset(sources_of(item.stage)) for item in taken)
        for item in taken:
            queue.finish(item)
            done.add(item.stage)
    assert done == set(stages_of(arms=ARMS, rounds=3))


def test_a_plan_waits_for_the_stages_of_another():
    trained = plan(seeds=(0, 1), arms=ARMS, rounds=2)
    judged = plan_of(trained.stages, lambda stage: [stage], trained)
    queue = Queue([trained, judged])
    order = drain(queue)
    assert {item.plan for item in order} == {0, 1} and len(order) == 2 * len(trained.stages)
    for item in order:
        if item.plan == 1:
            assert order.index(Item(0, item.stage)) < order.index(item)


def test_the_chain_of_the_tickets_goes_before_the_controls():
    queue = Queue([plan(seeds=(0,), arms=ARMS, rounds=3)])
    names = [(item.stage.round, item.stage.arm) for item in drain(queue)]
    assert names[:4] == [(0, "dense"), (1, "winning"), (2, "winning"), (3, "winning")]


def test_the_plan_of_slow_stages_goes_first():
    queue = Queue([plan(seeds=(0,), rounds=1), plan(seeds=(0,), rounds=1)])
    for number, seconds in ((0, 1.0), (1, 9.0)):
        item = Item(number, Stage(0, 0, "dense"))
        queue.finish(item, seconds)
    assert [item.plan for item in queue.ready] == [1, 0]


def test_a_worker_goes_on_with_the_plan_that_it_has_open():
    queue = Queue([plan(rounds=3), plan(rounds=1)])
    assert queue.take(held={1}, elsewhere={0}).plan == 1
    assert queue.take(held=(), elsewhere={0}).plan == 1
    assert queue.take(held=(), elsewhere={0, 1}).plan == 0


def test_what_was_put_back_is_handed_out_again():
    queue = Queue([plan(seeds=(0,))])
    item = queue.take()
    assert queue.take() is None
    queue.put_back(item)
    assert queue.take() == item


def test_there_is_work_for_as_many_as_the_longest_chain_leaves_room_for():
    assert Queue([plan(seeds=(0,), arms=("winning",), rounds=5)]).width == 1
    assert Queue([plan(seeds=range(4), arms=("winning",), rounds=5)]).width == 4
    # 3 x (1 + 20 x 2) stages, of which 22 are a chain: the last control waits for the last ticket.
    assert Queue([plan(seeds=range(3), rounds=20)]).width == 6


def simulated(stages, times, workers):
    """When the last stage ends, and what no order can beat."""
    queue = Queue([plan_of(stages)])
    now, running, tick = 0.0, [], itertools.count()
    while not queue.is_finished:
        while len(running) < workers and (item := queue.take()):
            heapq.heappush(running, (now + times[item.stage], next(tick), item))
        now, _, item = heapq.heappop(running)
        queue.finish(item, times[item.stage])
    chains = {}
    for stage in stages:
        chains[stage] = times[stage] + max(map(chains.get, sources_of(stage)), default=0)
    return now, max(max(chains.values()), sum(times.values()) / workers)


@pytest.mark.parametrize(
    "workers", [(1, 2, 3, 5, 8, 15, 64), pytest.param(range(1, 65), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("spread", [0, 0.3])
def test_the_whole_takes_hardly_longer_than_any_order_must(workers, spread):
    stages = stages_of(range(5), ARMS, 20)
    random = np.random.default_rng(0)
    times = {stage: float(random.uniform(1 - spread, 1 + spread)) for stage in stages}
    for number in workers:
        seconds, bound = simulated(stages, times, number)
        assert bound - 1e-6 <= seconds <= 1.1 * bound, number
