from serve_app.usage.quotas import NO_QUOTAS, Quotas


def test_quotas_fill_up_with_the_defaults() -> None:
    own = Quotas(jobs_at_once=1, stored_bytes=5)
    assert own.over(Quotas(jobs_at_once=9, jobs_queued=3)) == Quotas(
        jobs_at_once=1, jobs_queued=3, stored_bytes=5
    )
    assert own.over(NO_QUOTAS) == own
    assert NO_QUOTAS.over(own) == own
