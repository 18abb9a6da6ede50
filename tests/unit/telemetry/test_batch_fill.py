"""How full batches were is the mean of the last five minutes, of all processes."""

from serve_app.telemetry.batch_fill import BatchFill, BatchFillFacts, mean


def test_batches_of_before_are_forgotten() -> None:
    now = [0.0]
    fill = BatchFill(lambda: now[0])
    fill.add(0.25)
    now[0] = 200.0
    fill.add(1.0)
    fill.add(0.5)
    assert fill.facts() == BatchFillFacts(3, 1.75)
    now[0] = 301.0
    assert fill.facts() == BatchFillFacts(2, 1.5)
    now[0] = 600.0
    assert fill.facts() == BatchFillFacts()


def test_the_mean_is_of_batches_and_not_of_processes() -> None:
    assert mean([BatchFillFacts(3, 3.0), BatchFillFacts(1, 0.0)]) == 0.75
    assert mean([BatchFillFacts()]) is None
    assert mean([]) is None
