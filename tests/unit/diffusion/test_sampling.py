import pytest

from serve_app.diffusion.sampling import LCM, LIGHTNING, TURBO, USUAL


@pytest.mark.parametrize(
    ("asked", "used"),
    [((4, 1.5), (4, 1.5)), ((0, -1.0), (1, 0.0)), ((150, 15.0), (8, 2.0))],
)
def test_few_step_models_keep_to_their_range_and_say_so(
    asked: tuple[int, float], used: tuple[int, float]
) -> None:
    steps, guidance, warnings = LCM.obeyed(*asked)
    assert (steps, guidance) == used
    assert len(warnings) == sum(
        one != other for one, other in zip(asked, used, strict=True)
    )


def test_a_value_that_is_not_asked_for_is_the_models_own() -> None:
    assert LCM.obeyed(None, None) == (6, 1.0, ())
    assert USUAL.obeyed(None, None) == (20, 7.5, ())
    assert USUAL.obeyed(150, None) == (150, 7.5, ())


def test_an_operators_defaults_keep_to_the_range_too() -> None:
    chosen = LIGHTNING.with_defaults(25, 7.5)
    assert (chosen.steps, chosen.guidance) == (8, 1.0)
    assert chosen.obeyed(None, None)[2] == (), "clients did not ask for that"
    assert TURBO.with_defaults(None, 0.0).guidance == 0.0


def test_only_models_with_a_range_are_for_few_steps() -> None:
    assert LCM.few_steps
    assert not USUAL.few_steps
