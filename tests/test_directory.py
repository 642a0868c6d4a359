"""Who is told, when and how: quiet hours, digests, and what a directory refuses."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dataproducts.alerts.routing import unreachable
from dataproducts.directory import Channel, Digest, Directory, Person, QuietHours, Recipient, Route, Step, Team
from dataproducts.environment import Environment
from dataproducts.errors import UsageError
from dataproducts.load import load_project
from dataproducts.product import Severity
from resources.directory import directory as project_directory

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")
NOWHERE = Channel("nowhere", "none:")


def utc(*parts):
    """Return a moment in UTC."""
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        (datetime(2026, 1, 5, 21, 59, tzinfo=BERLIN), None),
        (datetime(2026, 1, 5, 22, 0, tzinfo=BERLIN), utc(2026, 1, 6, 6)),
        (datetime(2026, 1, 6, 3, 0, tzinfo=BERLIN), utc(2026, 1, 6, 6)),
        (datetime(2026, 1, 6, 7, 0, tzinfo=BERLIN), None),
        (datetime(2026, 12, 31, 23, 0, tzinfo=BERLIN), utc(2027, 1, 1, 6)),
        # The night in which clocks are put on has an hour less, the one in which they are put back one more.
        (datetime(2026, 3, 28, 23, 0, tzinfo=BERLIN), utc(2026, 3, 29, 5)),
        (datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN), utc(2026, 10, 25, 6)),
    ],
)
def test_quiet_hours_span_midnight_by_the_local_clock(moment, until):
    """A night is quiet until its morning, whatever the clocks do in it."""
    assert until == NIGHT.until(moment.astimezone(UTC))


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        # 02:30 does not exist: quiet ends when the clock jumps from 02:00 to 03:00.
        (utc(2026, 3, 29, 0, 30), utc(2026, 3, 29, 1, 0)),
        (utc(2026, 3, 29, 1, 0), None),
        # 02:30 comes twice: what falls into the second quiet half hour waits for the second end.
        (utc(2026, 10, 25, 0, 10), utc(2026, 10, 25, 0, 30)),
        (utc(2026, 10, 25, 1, 10), utc(2026, 10, 25, 1, 30)),
    ],
)
def test_quiet_hours_that_end_in_the_changed_hour(moment, until):
    """An end that does not exist, or comes twice, still ends the quiet, and never before the moment asked about."""
    assert until == QuietHours(time(22), time(2, 30), "Europe/Berlin").until(moment)


def test_quiet_hours_within_a_day():
    """Quiet hours that do not span midnight cover their own hours alone."""
    lunch = QuietHours(time(12), time(13))
    assert [None, utc(2026, 1, 5, 13), None] == [lunch.until(utc(2026, 1, 5, hour)) for hour in (11, 12, 13)]


def test_digest_slots_follow_the_local_clock():
    """The next digest is the next of its hours, on the next day if need be, on both sides of a change of clocks."""
    digest = Digest((time(8), time(16)), "Europe/Berlin")
    assert utc(2026, 3, 28, 15) == digest.after(utc(2026, 3, 28, 7))
    assert utc(2026, 3, 29, 6) == digest.after(utc(2026, 3, 28, 15))


def test_when_a_notice_is_due():
    """An error passes the night, a warning waits for the digest, and for the morning if that falls into the night."""
    night_owl = Recipient("ada", (NOWHERE,), NIGHT, Digest((time(23),), "Europe/Berlin"))
    at = datetime(2026, 1, 5, 22, 30, tzinfo=BERLIN).astimezone(UTC)
    assert (at, "", "") == night_owl.due(at, Severity.ERROR)
    assert (utc(2026, 1, 6, 6), "quiet", "2026-01-05T22:00:00+00:00") == night_owl.due(at, Severity.WARNING)


def test_recipients():
    """A person is told by own channels, a team without any by its members, an address by mail; others not at all."""
    mail = Channel("mail", "mailto://host?to={address}")
    ada = Person("ada@shop.example", (NOWHERE,))
    directory = Directory(
        (ada, Person("ben@shop.example")), (Team("Tills", (ada.name, "ben@shop.example")),), mail=mail
    )
    assert [ada.name, "ben@shop.example"] == [one.name for one in directory.recipients("Tills")]
    (cyd,) = directory.recipients("cyd+x@shop.example")
    assert ("mail", "mailto://host?to=cyd%2Bx%40shop.example") == (cyd.channels[0].name, cyd.channels[0].url)
    assert () == directory.recipients("Cyd")
    assert directory
    assert not Directory()


def test_a_directory_that_cannot_work_is_refused_with_all_its_faults():
    """Every fault is told at once, a misspelt name with the nearest one, and no URL is shown."""
    with pytest.raises(UsageError) as refused:
        Directory(
            people=(Person("ada", (Channel("chat", "hunter2"),)), Person("ben"), Person("ben", (Channel("x", ""),))),
            teams=(
                Team("Tills", ("adda",), quiet=QuietHours(time(1), time(1), "Mars/Base")),
                Team("Both", ("Tills",), (NOWHERE, NOWHERE), escalation=(Step(timedelta(0), "ada"),)),
                Team("Empty"),
            ),
            routes=(Route("Tils"), Route("ada", kinds=("check", "stail"))),
            operator="nobody",
            mail=Channel("mail", "mailto://h?to=x", ()),
        )
    told = str(refused.value)
    for part in (
        "'ben' is listed twice",
        "the URL of channel 'chat' must begin with a scheme",
        "person 'ben' has no channel",
        "is its environment variable set?",
        "member 'adda' is neither a person nor a team. Did you mean 'ada'?",
        "there is no time zone 'Mars/Base'",
        "quiet hours end when they start",
        "member 'Tills' is a team",
        "two channels are called 'nowhere'",
        "must come some time after",
        "team 'Empty' has neither a channel nor a member",
        "- a route to 'Tils' is neither a person nor a team. Did you mean 'Tills'?",
        "a route to 'ada': there is no kind 'stail'. Did you mean 'stale'? Known: access, budget",
        "- operator 'nobody' is neither a person nor a team",
        "must hold {address}",
        "takes no severity",
    ):
        assert part in told
    assert "hunter2" not in told


def test_a_fault_is_told_once():
    """A time zone that is no zone, in quiet hours and in a digest, is one fault."""
    quiet, digest = QuietHours(time(1), time(2), "Mars/Base"), Digest((time(8),), "Mars/Base")
    with pytest.raises(UsageError) as refused:
        Directory(people=(Person("ada", (NOWHERE,), quiet, digest),))
    assert 1 == str(refused.value).count("Mars/Base")


def test_a_url_is_not_shown_by_what_holds_it(tmp_path):
    """Neither a channel nor an environment prints the address of a channel."""
    directory = Directory((Person("ada", (Channel("chat", "slack://hunter2"),)),))
    assert "hunter2" not in repr(Environment("dev", tmp_path, tmp_path, directory=directory))


def test_this_project_reaches_its_owners_and_consumers(tmp_path, monkeypatch):
    """Everybody whom a product of this project names can be told, by a file, or by what the environment says."""
    products = load_project(Path(__file__).parents[1]).products
    for name in ("DATAPRODUCTS_MAIL", "DATAPRODUCTS_ONCALL"):
        monkeypatch.delenv(name, raising=False)
    files = project_directory(tmp_path, served=False)
    assert () == unreachable(files, products)
    assert {product.team for product in products} <= {team.name for team in files.teams}
    (owner,) = files.recipients("hana.sato@grocer.example")
    assert f"file:{tmp_path}/notices/hana.sato%40grocer.example.jsonl" == owner.channels[0].url
    monkeypatch.setenv("DATAPRODUCTS_MAIL", "mailtos://u:hunter2@smtp.grocer.example?to={address}")
    monkeypatch.setenv("DATAPRODUCTS_ONCALL", "pagerduty://hunter2@key")
    served = project_directory(tmp_path, served=True)
    assert () == unreachable(served, products)
    assert ["on call"] == [channel.name for one in served.recipients(served.operator) for channel in one.channels]
    assert "hunter2" not in repr(served)
