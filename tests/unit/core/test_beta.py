"""What beta does, on the core's queues in virtual time."""

from core_beta import MIXES, Mix, Program, draw, serve

FLOOD = Mix(((150, 1.0, 0.5), (5, 10.0, 3.0)), load=1.3, places=2)


def test_the_same_seed_gives_the_same_outcome() -> None:
    assert draw(FLOOD, 7) == draw(FLOOD, 7) != draw(FLOOD, 8)
    assert serve(draw(FLOOD, 7), places=2, beta=1.0) == serve(draw(FLOOD, 7), places=2, beta=1.0)


def test_an_idle_engine_slows_nobody_down() -> None:
    alone = [Program(arrival_s=0.0, calls_s=(1.0, 2.0), thinks_s=(0.5,))]
    assert serve(alone, places=1, beta=None).worst < 1.02  # whole steps of 50 ms


def test_promotion_shortens_the_longest_wait_and_costs_preemptions() -> None:
    off, on = (serve(draw(FLOOD, 0), places=2, beta=beta) for beta in (None, 0.5))
    assert (off.promotions, on.promotions > 0) == (0, True)
    assert on.longest_wait_s < off.longest_wait_s
    assert on.preemptions > off.preemptions


def test_every_mix_names_programs_that_can_be_drawn() -> None:
    for mix in MIXES.values():
        assert len(draw(mix, 0)) == sum(count for count, _, _ in mix.kinds)
