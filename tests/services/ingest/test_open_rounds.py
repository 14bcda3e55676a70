"""A round is answered when all is dealt with that had been received at its question; a later one says more."""

from services.ingest.open_rounds import MOST_OPEN, Answer, OpenRounds


def test_a_round_waits_for_all_that_had_been_received() -> None:
    rounds = OpenRounds()
    rounds.hear(7, 20)
    assert rounds.answer(dealt_with=19) is None
    assert rounds.answer(dealt_with=20) == Answer(7, 20)
    assert rounds.answer(dealt_with=20) is None


def test_nothing_received_is_an_answer() -> None:
    rounds = OpenRounds()
    rounds.hear(1, 0)
    assert rounds.answer(dealt_with=0) == Answer(1, 0)


def test_the_newest_that_can_be_answered_is() -> None:
    rounds = OpenRounds()
    for round_, received in ((1, 10), (2, 20), (3, 30)):
        rounds.hear(round_, received)
    assert rounds.answer(dealt_with=25) == Answer(2, 20)
    assert rounds.answer(dealt_with=30) == Answer(3, 30)


def test_rounds_come_faster_than_their_answers_and_are_answered_all_the_same() -> None:
    rounds = OpenRounds()
    for round_ in range(1, 10):
        rounds.hear(round_, 100 * round_)
        answer = rounds.answer(dealt_with=100 * (round_ - 2))
        assert answer == (Answer(round_ - 2, 100 * (round_ - 2)) if round_ > 2 else None)


def test_what_is_stuck_for_days_takes_no_memory() -> None:
    rounds = OpenRounds()
    for round_ in range(1, 10 * MOST_OPEN):
        rounds.hear(round_, round_)
    last = 10 * MOST_OPEN - 1
    assert rounds.answer(dealt_with=last - MOST_OPEN) is None
    assert rounds.answer(dealt_with=last) == Answer(last, last)
