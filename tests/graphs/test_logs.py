import logging

import pytest

from graphs.logs import log_to, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("card 4111111111111111.", "card 411111******1111."),
        ("5555-5555-5555-4444", "555555******4444"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),  # fails the Luhn check
        ("at 1740823200000006", "at 1740823200000006"),  # microseconds that pass the Luhn check
        ("at 1740823200001", "at 1740823200001"),
        ("at 1740823200000000001", "at 1740823200000000001"),
        ("100000000000009", "100000*****0009"),  # as long as an air travel card
        ("1000 0000 0000 0008", "100000******0008"),  # nobody writes times in groups
        ("read as 4111111111111111.0", "read as 411111******1111.0"),
        ("4111.1111.1111.1111", "411111******1111"),
        ("3782.822463.10005", "378282*****0005"),
        ("4111\u00a01111\u202f1111 1111", "411111******1111"),
        ("4.111111111111111E+15 and 4.111111111111111e15", "4.11111******1111E+15 and 4.11111******1111e15"),
        ("4.11111111111111E+15", "4.11111******1110E+15"),  # a spreadsheet keeps 15 digits, and the last can be told
        ("1.740823200000006E15", "1.740823200000006E15"),  # microseconds that pass the Luhn check
        ("at 1740823200.000006, 1740823200000006.0", "at 1740823200.000006, 1740823200000006.0"),
        ("4111111111111.11, 4.111.111.111.111, 4.11e+15", "4111111111111.11, 4.111.111.111.111, 4.11e+15"),
        ("set 000000000000000", "set 000000000000000"),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
        ("loss 0.4111111111111111", "loss 0.4111111111111111"),
        ("ana@example.org, bo.b+x@mail.example.co.uk", "***@***, ***@***"),
        ("epoch 12 of 30", "epoch 12 of 30"),
    ],
)
def test_only_identities_are_masked(text, masked):
    assert mask(text) == masked


def test_arguments_and_tracebacks_are_masked_too(tmp_path):
    log_to(tmp_path / "run.log")
    try:
        raise ValueError("4111111111111111")
    except ValueError:
        logging.getLogger("x").exception("row of %s", "ana@example.org")
    log_to()
    written = (tmp_path / "run.log").read_text()
    assert "ValueError" in written and "4111111111111111" not in written and "ana@" not in written


def test_a_later_call_replaces_the_file_of_an_earlier_one(tmp_path):
    log_to(tmp_path / "a.log")
    log_to(tmp_path / "b.log")
    logging.getLogger("x").info("hello")
    log_to()
    assert (tmp_path / "a.log").read_text() == "" and "hello" in (tmp_path / "b.log").read_text()
