"""Variables that set nothing are told, and those that others set are left alone."""

import pytest

from serve_app.settings import all_variables, environment


def warnings(**environ: str) -> list[str]:
    return environment.warnings(all_variables(), environ)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("STEMSERVE_MODLE", "STEMSERVE_MODEL"),
        ("STEMSERVE_MAX_UPLOAD", "STEMSERVE_MAX_UPLOAD_BYTES"),
        ("STEMSERVE_DB_URL", "STEMSERVE_DATABASE_URL"),
        ("STEMSERVE_WEBHOOK_SECRET", "STEMSERVE_WEBHOOK_SECRETS"),
        ("stemserve_precison", "STEMSERVE_PRECISION"),
        ("STEMSERVE_PORT", "stemserve serve --port"),
        ("STEMSERVE_HOST", "stemserve serve --host"),
        ("STEMSERVE_FLUX_CAPACITOR", "stemserve settings"),
    ],
)
def test_an_unknown_variable_is_told_with_what_was_meant(name: str, meant: str) -> None:
    [line] = warnings(**{name: "1"})
    assert line.startswith(name.upper())
    assert meant in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEMSERVE_SERVICE_HOST", "10.0.0.1"),
        ("STEMSERVE_SERVICE_PORT", "8000"),
        ("STEMSERVE_SERVICE_PORT_HTTP", "8000"),
        ("STEMSERVE_PORT", "tcp://10.0.0.1:8000"),
        ("STEMSERVE_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("STEMSERVE_PORT_8000_TCP_PROTO", "tcp"),
        ("STEMSERVE_PORT_8000_TCP_PORT", "8000"),
        ("STEMSERVE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("STEMSERVE_PORT_53_UDP_ADDR", "10.0.0.1"),
        ("STEMSERVE_HEAD_SVC_SERVICE_HOST", "10.0.0.1"),
        ("STEMSERVE_HEAD_SVC_SERVICE_PORT_DASHBOARD", "8265"),
        ("STEMSERVE_SERVE_SVC_PORT", "tcp://10.0.0.1:8000"),
        ("STEMSERVE_POSTGRES_PORT_5432_TCP_ADDR", "10.0.0.1"),
        ("STEMSERVE_URL", "http://127.0.0.1:8000"),
        ("STEMSERVE_MODEL", "demo"),
        ("STEMSERVE_MODLE", ""),
        ("OTHER_MODLE", "1"),
    ],
)
def test_what_kubernetes_and_others_set_is_left_alone(name: str, value: str) -> None:
    assert warnings(**{name: value}) == []


def test_blank_variables_are_unset_and_values_trimmed() -> None:
    environ = {"A": "  ", "B": "", "C": "\tx y \n", "d": "1"}
    assert environment.cleaned(environ) == {"C": "x y", "D": "1"}


def test_a_name_in_capitals_wins() -> None:
    for environ in ({"a": "1", "A": "2"}, {"A": "2", "a": "1"}):
        assert environment.cleaned(environ) == {"A": "2"}
    assert environment.cleaned({"a": "1", "A": ""}) == {"A": "1"}
