"""What goes wrong in one replica is raised in another as what it is."""

import pickle

import pytest

from deployments.failures import Failed, value_of
from serve_app.errors import FileLost


def test_an_answer_is_given_as_it_came() -> None:
    assert value_of({"bpm": 120}) == {"bpm": 120}


def test_an_error_that_was_returned_is_raised() -> None:
    sent = pickle.loads(pickle.dumps(Failed(FileLost("It is gone."))))  # noqa: S301
    with pytest.raises(FileLost, match="It is gone"):
        value_of(sent)
