import csv
import io
from datetime import date

import pytest

from serve_app.usage.csv_form import as_csv
from serve_app.usage.used import DayUsage

DAY = DayUsage(date(2026, 11, 20), "acme", 2, 360.0, 1.23456, 9, 44)


def test_a_line_names_the_columns_and_one_follows_for_each_day() -> None:
    assert as_csv([DAY]).splitlines() == [
        "day,tenant,jobs,audio_seconds,device_seconds,bytes_in,bytes_out",
        "2026-11-20,acme,2,360.0,1.235,9,44",
    ]


@pytest.mark.parametrize("tenant", ['=cmd|"/c calc"!A0', "@SUM(A1)", "-1+1", "+1"])
def test_no_tenant_is_a_formula_in_a_spreadsheet(tenant: str) -> None:
    text = as_csv([DayUsage(DAY.day, tenant, 1, 0.0, 0.0, 0, 0)])
    [row] = csv.DictReader(io.StringIO(text))
    assert row["tenant"] == f"'{tenant}"
