"""Which columns look as if they held personal data, by name and by pattern; it must not measure or hide anything.

Only what names, reaches or identifies one person: a year of birth, a city or an income does so together with others
and is left to the contract.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataproducts.profile.model import ColumnProfile

EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
"""An e-mail address, in RE2's syntax and in Python's."""

PHONE = r"(\+|00)\d[\d ()/.-]{6,18}|\(\d{3}\) ?\d{3}[- ]\d{4}|\d{3}[-. ]\d{3}[-. ]\d{4}"
"""A telephone number that is written as one."""

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


def looks_personal(column: ColumnProfile) -> str:
    """Return what the values of `column` seem to be, such as `e-mail address`; empty if nothing personal."""
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
    """Return whether a single value holds an e-mail address or a telephone number, whatever its column is."""
    return isinstance(value, str) and re.search(f"{EMAIL}|{_PHONE_ALONE}", value) is not None


_PHONE_ALONE = rf"(?<![\w-])({PHONE})(?![\w-])"


def _by_name(name: str) -> str:
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    words = re.sub(r"[^a-z0-9]+", "_", spelled.lower()).strip("_")
    for what, pattern in _NAMED:
        if re.fullmatch(rf"(?:\w+_)??(?:{pattern})", words) and not re.fullmatch(_NOT_PEOPLE, words):
            return what
    return ""


_NOT_PEOPLE = r"(\w*_)?(product|brand|brewery|beer|file|table|column|company|shop|store|web|mac|memory|host)_\w+"
