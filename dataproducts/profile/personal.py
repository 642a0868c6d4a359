"""Which columns look as if they held personal data, by name and by pattern; it must not measure or hide anything.

Only what names, reaches or identifies one person: a year of birth, a city or an income does so together with others
and is left to the contract.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from dataproducts.profile.model import ColumnProfile

EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
"""An e-mail address, in RE2's syntax and in Python's."""

PHONE = r"(\+|00)\d[\d ()/.-]{6,18}|\(\d{3}\) ?\d{3}[- ]\d{4}|\d{3}[-. ]\d{3}[-. ]\d{4}"
"""A telephone number that is written as one."""

IDENTIFIER = r"[2-6](?:[ -]?[0-9]){12,18}|[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}"
"""What may be the number of a payment card, or an IBAN: whether it is one, its check digits tell."""

_NAMED = (
    ("e-mail address", r"e_?mail(_?(addr(ess)?|id))?|mail_?address"),
    ("telephone number", r"(tele)?phone(_?(no|nr|num(ber)?))?|mobile(_?(no|nr|phone|num(ber)?))?|tel(_?(no|nr))?|fax"),
    (
        "name of a person",
        r"((first|last|middle|given|family|maiden|sur|fore|full|nick|birth|user)_?name|surname|lname|fname)",
    ),
    ("name of a person", r"(customer|client|patient|employee|contact|person|member|guest|passenger|owner)_?name"),
    ("date of birth", r"(date_?of_?birth|birth_?(date|day)|dob|born(_?on)?)"),
    (
        "postal address",
        r"(street|address|addr)(_?(line|no|nr|num(ber)?|name))?_?\d?|(home|postal|billing|shipping)_?address",
    ),
    ("identity number", r"ssn|soc(ial)?_?sec(urity)?(_?(id|no|nr|num(ber)?))?|passport(_?(no|nr|id|num(ber)?))?|iban"),
    (
        "identity number",
        r"national_?id|tax_?(id|no|nr)|(driver_?)?licen[cs]e_?(no|nr|num(ber)?)|credit_?card(_?(no|nr|num(ber)?))?",
    ),
    ("address of a device", r"ip(_?addr(ess)?)?"),
)
_MOST = 0.5
_NEARLY_ALL = 0.95


def identified(values: Collection[str]) -> str:
    """Return what nearly all of `values`, which fit `IDENTIFIER`, prove to be: `card number`, `IBAN` or nothing.

    Of other numbers one in ten passes for a card number by chance, and one in 97 for an IBAN.
    Source: ISO/IEC 7812-1, annex B (Luhn); ISO 13616-1 and ISO/IEC 7064, MOD 97-10.
    """
    for what, proves in (("card number", _is_card), ("IBAN", _is_iban)):
        if values and sum(map(proves, values)) >= _NEARLY_ALL * len(values):
            return what
    return ""


def identified_ends(ends: Collection[str]) -> str:
    """Return what the least and greatest values of a column of numbers prove to be, as `identified` does."""
    whole = [re.sub(r"\.0+$", "", end) for end in ends]
    return identified(whole) if all(re.fullmatch(IDENTIFIER, end) for end in whole) else ""


def is_nearly_all(rows: int, values: int) -> bool:
    """Return whether so many rows are all of the `values`, or all but a few."""
    return values > 0 and rows >= _NEARLY_ALL * values


def _is_card(text: str) -> bool:
    digits = [int(sign) for sign in text if sign.isdecimal()]
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])  # noqa: PLR2004 - the cross sum of 2 digits
    return bool(digits) and text[0].isdecimal() and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    signs = text.replace(" ", "")
    return text[0].isalpha() and int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])) % 97 == 1


def looks_personal(column: ColumnProfile) -> str:
    """Return what the values of `column` seem to be, such as `e-mail address`; empty if nothing personal.

    What check digits have proved comes first.
    """
    if column.personal:
        return column.personal
    names = [column.name, *re.findall(r'"?([\w ]+?)"? (?=[A-Z])', column.type)]
    for name in names:
        if found := _by_name(name):
            return found
    text = column.text
    if text is None or not column.values:
        return ""
    if text.emails >= _MOST * column.values:
        return "e-mail address"
    return "telephone number" if text.phones >= _MOST * column.values else ""


def shows_address(value: object) -> bool:
    """Return whether a value holds an e-mail address, a telephone or a card number or an IBAN, whatever its column."""
    if not isinstance(value, str):
        return False
    if re.search(f"{EMAIL}|{_PHONE_ALONE}", value):
        return True
    found = (match[0] for match in re.finditer(_IDENTIFIER_ALONE, value))
    # Words that follow an IBAN look like more of it.
    starts = (text[:end] for text in found for end in (*(at.start() for at in re.finditer(" ", text)), len(text)))
    return any(re.fullmatch(IDENTIFIER, text) and identified([text]) for text in starts)


_PHONE_ALONE = rf"(?<![\w-])({PHONE})(?![\w-])"
_IDENTIFIER_ALONE = rf"(?<![\w-])({IDENTIFIER})(?![\w-])"


def _by_name(name: str) -> str:
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    words = re.sub(r"[^a-z0-9]+", "_", spelled.lower()).strip("_")
    for what, pattern in _NAMED:
        if re.fullmatch(rf"(?:\w+_)??(?:{pattern})", words) and not re.fullmatch(_NOT_PEOPLE, words):
            return what
    return ""


_NOT_PEOPLE = r"(\w*_)?(product|brand|brewery|beer|file|table|column|company|shop|store|web|mac|memory|host)_\w+"
