"""Files are read as they are written, or refused with what to declare; never guessed."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from dataproducts.errors import SourceError
from dataproducts.product import Server
from dataproducts.sources.dialect import detect
from dataproducts.sources.files import open_source, read_files
from dataproducts.sources.readings import strptime_format

REAL = Path(__file__).parents[1].parent / "shared" / "data"
PLAIN = "id,name,day\n1,Zoë,2024-01-31\n2,,2024-02-01\n"


@pytest.fixture
def con():
    """An empty connection."""
    with duckdb.connect() as con:
        yield con


def read(con, root, path, **settings):
    """Open a source; return its columns with their types, and its rows."""
    overrides = settings.pop("overrides", {})
    source = open_source(con, Server("raw", "local", {"path": path, **settings}), root=root, overrides=overrides)
    described = con.execute(f"DESCRIBE SELECT * FROM {source.relation}").fetchall()
    rows = con.execute(f"SELECT * FROM {source.relation} ORDER BY ALL").fetchall()
    return {name: kind for name, kind, *_ in described}, rows


def write(root, name, text, encoding="utf-8"):
    """Write a file byte by byte as given."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


EXPECTED = (
    {"id": "BIGINT", "name": "VARCHAR", "day": "DATE"},
    [(1, "Zoë", date(2024, 1, 31)), (2, None, date(2024, 2, 1))],
)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "utf-8-sig"),
        (PLAIN, "utf-16"),
        (PLAIN.replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-8-sig"),
        (PLAIN.replace(",", "|"), "utf-8"),
        ('"id","name","day"\n"1","Zoë","2024-01-31"\n"2","","2024-02-01"\n', "utf-8"),
        ("id , name,day \n1 ,Zoë  ,2024-01-31 \n 2, ,2024-02-01", "utf-8"),
        (PLAIN.replace("2024-01-31", "31/01/2024").replace("2024-02-01", "01/02/2024"), "utf-8"),
        (PLAIN.replace("2024-01-31", "1/31/2024").replace("2024-02-01", "2/1/2024"), "utf-8"),
        (PLAIN.replace("2024-01-31", "31.1.2024").replace("2024-02-01", "1.2.2024"), "utf-8"),
        (PLAIN.replace("-", "/"), "utf-8"),
    ],
    ids=["plain", "bom", "utf16", "crlf", "semicolon", "tab", "pipe", "quoted", "blanks", "dmy", "mdy", "dots", "ymd"],
)
def test_the_same_rows_are_read_however_they_are_written(con, tmp_path, text, encoding):
    """Encoding, line ends, delimiter, quotes, blanks and provable dates do not change what is read."""
    write(tmp_path, "a.csv", text, encoding)
    assert read(con, tmp_path, "a.csv") == EXPECTED


def test_an_ambiguous_date_is_an_error_with_the_column_and_examples(con, tmp_path):
    """If day and month could be swapped in every row, somebody must say which is which."""
    write(tmp_path, "a.csv", "id,day\n1,04/09/2012\n2,05/10/2012\n")
    with pytest.raises(SourceError, match=r"column 'day' .*'99/99/9999'.*dateFormat.*%d/%m/%Y") as error:
        read(con, tmp_path, "a.csv")
    assert "'%m/%d/%Y'" in str(error.value)
    assert "04/09/2012" not in str(error.value)  # it may be a day of birth


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dateFormat": "%d/%m/%Y"}, date(2012, 9, 4)),
        ({"dateFormat": "dd/MM/yyyy"}, date(2012, 9, 4)),
        ({"dateFormat": "MM/dd/yyyy"}, date(2012, 4, 9)),
        ({"columns": {"day": "VARCHAR"}}, "04/09/2012"),
        ({"columns": {"day": "DATE"}, "dateFormat": "dd/MM/yyyy"}, date(2012, 9, 4)),
    ],
)
def test_a_declaration_ends_the_doubt(con, tmp_path, settings, expected):
    """A declared format or column is taken at its word."""
    write(tmp_path, "a.csv", "id,day\n1,04/09/2012\n")
    assert read(con, tmp_path, "a.csv", **settings)[1] == [(1, expected)]


def test_a_proof_may_come_late_in_the_file(con, tmp_path):
    """All rows are looked at: the one day above 12 may be the last."""
    rows = "".join("01/02/2012\n" for _ in range(5000))
    write(tmp_path, "a.csv", f"day\n{rows}13/02/2012\n", "utf-8")
    types, found = read(con, tmp_path, "a.csv", delimiter=",")
    assert (types, found[0], found[-1]) == ({"day": "DATE"}, (date(2012, 2, 1),), (date(2012, 2, 13),))
    write(tmp_path, "b.csv", "n\n" + "1\n" * 5000 + "x\n")
    assert read(con, tmp_path, "b.csv")[0] == {"n": "VARCHAR"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", ""], "BIGINT"),
        (["007", "008"], "VARCHAR"),
        (["1.5", "2", "1e3", ".5"], "DOUBLE"),
        (["01.5"], "VARCHAR"),
        (["12345678901234567890"], "DOUBLE"),
        (["true", "FALSE"], "BOOLEAN"),
        (["yes", "no"], "VARCHAR"),
        (["2024-01-01", "2024-02-30"], "VARCHAR"),
        (["2024-01-01 10:00", "2024-01-01T10:00:00.5"], "TIMESTAMP"),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00:00+02:00"], "TIMESTAMP WITH TIME ZONE"),
        (["31/12/2024 10:00", "1/1/2024 9:30"], "TIMESTAMP"),
        (["31/12/2024", "12/31/2024"], "VARCHAR"),
        (["31/12/24", "1/2/24"], "VARCHAR"),
        (["$1.00"], "VARCHAR"),
        (["", ""], "VARCHAR"),
    ],
)
def test_a_column_has_the_type_that_all_values_prove(con, tmp_path, values, kind):
    """Text stays text unless every value is of one type without loss: so do leading zeros and two-digit years."""
    write(tmp_path, "a.csv", "id,x\n" + "".join(f"{at},{value}\n" for at, value in enumerate(values)))
    assert read(con, tmp_path, "a.csv")[0]["x"] == kind


def test_a_byte_that_is_not_utf8_asks_for_the_encoding(con, tmp_path):
    """Which single-byte encoding was meant cannot be proved; declared, it is read."""
    write(tmp_path, "a.csv", "id,name\n1,Zoë €\n", "cp1252")
    with pytest.raises(SourceError, match=r"0xeb is not UTF-8. Declare `encoding`.*cp1252"):
        read(con, tmp_path, "a.csv")
    assert read(con, tmp_path, "a.csv", encoding="cp1252")[1] == [(1, "Zoë €")]
    with pytest.raises(SourceError, match="not ascii, as declared"):
        read(con, tmp_path, "a.csv", encoding="ascii")
    with pytest.raises(SourceError, match="no encoding 'nonsense'"):
        read(con, tmp_path, "a.csv", encoding="nonsense")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b;c\n1,2;3\n", "both give 2 fields"),
        ("a,b\n1,2\n1,2,3\n", r"a\.csv:3: with ',', the row has 3 fields and the first 2"),
        ("1,2\n3,4\n", "Declare `header: true` or"),
        ("a,a\n3,4\n", "Declare `header: true` or"),
        ("", "no complete row"),
        ('a,b\n"1,2\n' + "x" * 300_000, "quote may be left open"),
    ],
)
def test_what_fits_no_dialect_or_two_is_refused(con, tmp_path, text, why):
    """Each refusal says what to declare."""
    write(tmp_path, "a.csv", text)
    with pytest.raises(SourceError, match=why):
        read(con, tmp_path, "a.csv")


def test_what_breaks_late_is_told_with_its_line(con, tmp_path):
    """Beyond what detection looks at, too; a value of several lines counts as so many, and no value is shown."""
    rows = '1,"a\nb"\n' * 40_000
    for text, why in (
        ("2,secret,x\n", r"a\.csv:80002: the row has 3 fields instead of 2"),
        ("2\n", r"a\.csv:80002: the row has 1 field instead of 2"),
        ('2,"secret\n', "after line 80000, a quote is left open"),
        ("2,\0\n", r"a\.csv:80002: a NUL byte"),
    ):
        write(tmp_path, "a.csv", f"id,name\n{rows}{text}")
        with pytest.raises(SourceError, match=why) as error:
            read(con, tmp_path, "a.csv")
        assert "secret" not in str(error.value)


def test_a_file_is_called_what_it_is_called(con, tmp_path):
    """Brackets and stars in the name of a file match nothing else."""
    for name in ("a[b]*.csv", "ab.csv"):
        write(tmp_path, name, PLAIN.replace("1,", f"{len(name)},"))
    assert read(con, tmp_path, "a[b]*.csv")[1][1][0] == len("a[b]*.csv")
    con.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path / 'ab.parquet'}'")
    shutil.copy(tmp_path / "ab.parquet", tmp_path / "a[b].parquet")
    assert read(con, tmp_path, "a[b].parquet")[1] == [(1,)]
    write(tmp_path, "a[b].json", '[{"a": 1}]')
    assert read(con, tmp_path, "a[b].json")[1] == [(1,)]


def test_a_file_without_header_has_numbered_columns(con, tmp_path):
    """`header: false` is taken at its word."""
    write(tmp_path, "a.csv", "1,2\n3,4\n")
    assert read(con, tmp_path, "a.csv", header=False) == ({"column0": "BIGINT", "column1": "BIGINT"}, [(1, 2), (3, 4)])


def test_declared_null_values_and_delimiter_are_used(con, tmp_path):
    """Settings of the contract override detection."""
    write(tmp_path, "a.csv", "a,b;c\n1,N/A;3\n")
    assert read(con, tmp_path, "a.csv", delimiter=",", nullValues=["N/A;3"])[1] == [(1, None)]


def test_declared_types_that_do_not_fit_are_refused_without_showing_values(con, tmp_path):
    """The shape of the misfits is told, not a value that could be somebody's name."""
    write(tmp_path, "a.csv", "id,x\n1,Ann 12\n2,3\n")
    with pytest.raises(
        SourceError, match=r"1 value of column 'x' is no INTEGER, at .*/a\.csv:2\. Found: 'aaa 99'"
    ) as error:
        read(con, tmp_path, "a.csv", columns={"x": "INTEGER"})
    assert "Ann" not in str(error.value)
    assert "Expected: a whole number such as 42. Mend the file, or declare" in str(error.value)
    with pytest.raises(SourceError, match=r"`columns` names 'y'"):
        read(con, tmp_path, "a.csv", columns={"y": "INTEGER"})


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        (
            'id,x\n1,"a\nb"\n\n2,x\n3,x\n',
            {"columns": {"id": "INTEGER", "x": "DOUBLE"}},
            r"3 values .*instance at \S+csv:2\.",
        ),
        ("id,x\n1,2\nid,x\n", {"columns": {"id": "BIGINT"}}, r"1 value .*, at \S+/a\.csv:3\. Found: 'aa'"),
        (
            "id,x\n1,31.12.2024\n",
            {"columns": {"x": "DATE"}},
            "2024-01-31 in ISO 8601. Declare `dateFormat`, mend the file",
        ),
        (
            "id,x\n1,2024-12-31\n",
            {"columns": {"x": "DATE"}, "dateFormat": "dd.MM.yyyy"},
            r"'9999-99-99' .*a date like %d\.%m\.%Y\. Mend the file",
        ),
        ("id,x\n1,maybe\n", {"columns": {"x": "BOOLEAN"}}, "Expected: true or false"),
        ("Größe,x\n\N{NO-BREAK SPACE}ä1 ,y\n", {"columns": {"Größe": "TINYINT"}}, r"'Größe' .*a\.csv:2\. Found: 'a9'"),
    ],
    ids=["several lines", "header again", "date", "layout", "boolean", "unicode"],
)
def test_a_misfit_is_told_with_its_place_and_what_was_expected(con, tmp_path, text, settings, said):
    """Lines count as an editor counts them; a name in the header is no value."""
    write(tmp_path, "a.csv", text)
    with pytest.raises(SourceError, match=said):
        read(con, tmp_path, "a.csv", **settings)


def test_a_misfit_is_found_in_the_file_that_holds_it(con, tmp_path):
    """Of several files, of several encodings, the right one is named; JSON has no lines to name."""
    write(tmp_path, "in/a.csv", "id;x\n1;2\n", "utf-16")
    write(tmp_path, "in/b.csv", "x,id\nfünf,1\n", "utf-8")
    with pytest.raises(SourceError, match=r"1 value of column 'x' is no INTEGER, at \S+/in/b\.csv:2\. Found: 'aaaa'"):
        read(con, tmp_path, "in", format="csv", columns={"x": "INTEGER"})
    write(tmp_path, "c.json", '[{"x": "1"}, {"x": "Ann"}]')
    with pytest.raises(SourceError, match=r"1 value of column 'x' is no INTEGER\. Found: 'aaa' "):
        read(con, tmp_path, "c.json", columns={"x": "INTEGER"})


def test_letters_of_a_layout_that_mean_nothing_are_told(con, tmp_path):
    """`DD/MM/YYYY` would fit no value: the right letters are shown."""
    write(tmp_path, "a.csv", "id,day\n1,04/09/2012\n")
    with pytest.raises(SourceError, match=r"`dateFormat` 'DD/MM/YYYY' has letters .* like dd/MM/yyyy"):
        read(con, tmp_path, "a.csv", dateFormat="DD/MM/YYYY")


def test_zones_are_read_however_they_are_written(con, tmp_path):
    """Z, as ISO 8601 writes it, is a zone of a layout like any other."""
    write(tmp_path, "a.csv", "id,at\n1,2024-01-02T03:04:05Z\n2,2024-01-02T05:04:05+0200\n")
    con.execute("SET TimeZone = 'UTC'")
    moments = read(con, tmp_path, "a.csv", timestampFormat="yyyy-MM-ddTHH:mm:ssXXX")[1]
    assert [(1, datetime(2024, 1, 2, 3, 4, 5)), (2, datetime(2024, 1, 2, 3, 4, 5))] == moments  # noqa: DTZ001


def test_whole_numbers_and_decimals_lose_nothing(con, tmp_path):
    """1.5 is no INTEGER and 1.239 no DECIMAL(10,2), though a cast would round them."""
    write(tmp_path, "a.csv", "i,d\n1.5,1.230\n")
    with pytest.raises(SourceError, match="no INTEGER"):
        read(con, tmp_path, "a.csv", columns={"i": "INTEGER"})
    assert read(con, tmp_path, "a.csv", columns={"d": "DECIMAL(10,2)"})[0]["d"] == "DECIMAL(10,2)"
    with pytest.raises(SourceError, match="no DECIMAL"):
        read(con, tmp_path, "a.csv", columns={"d": "DECIMAL(10,1)"})


def test_a_folder_is_its_files_of_one_format(con, tmp_path):
    """Files may differ in dialect and order of columns; hidden and other files do not count."""
    write(tmp_path, "in/b.csv", "id;day\n2;2024-01-02\n")
    write(tmp_path, "in/a.csv", "day,id\n2024-01-01,1\n")
    write(tmp_path, "in/_c.csv", "nothing\n")
    write(tmp_path, "in/readme.md", "x")
    server = Server("raw", "local", {"path": "in", "format": "csv"})
    source = open_source(con, server, root=tmp_path)
    rows = con.execute(f"SELECT id, day FROM {source.relation} ORDER BY id").fetchall()
    assert rows == [(1, date(2024, 1, 1)), (2, date(2024, 1, 2))]
    content = (tmp_path / "in" / "a.csv").read_bytes()
    assert [(f.path, f.bytes) for f in source.consumed] == [("in/a.csv", len(content)), ("in/b.csv", 20)]
    assert source.consumed[0].sha256 == hashlib.sha256(content).hexdigest()


def test_files_of_a_folder_must_have_the_same_columns(con, tmp_path):
    """A column that only some files have is told, not filled with NULL."""
    write(tmp_path, "in/a.csv", "id,day\n1,2024-01-01\n")
    write(tmp_path, "in/b.csv", "id,date\n1,2024-01-01\n")
    with pytest.raises(SourceError, match=r"a\.csv and b\.csv differ in columns date, day"):
        read(con, tmp_path, "in", format="csv")


def test_a_glob_picks_files(con, tmp_path):
    """A path may hold `*`."""
    for at in (1, 2):
        write(tmp_path, f"in/{at}.csv", f"id,x\n{at},a\n")
    assert read(con, tmp_path, "in/*.csv")[1] == [(1, "a"), (2, "a")]


def test_packed_csv_is_read(con, tmp_path):
    """A `.csv.gz` is a CSV file."""
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    assert read(con, tmp_path, "a.csv.gz") == EXPECTED


def test_parquet_and_json_keep_their_types(con, tmp_path):
    """Parquet says its types; text in JSON is a date only in ISO form, and declared columns are cast."""
    con.execute(f"COPY (SELECT 1::TINYINT AS a, DATE '2024-01-01' AS d) TO '{tmp_path / 'a.parquet'}'")
    write(tmp_path, "a.json", '[{"a": 1, "d": "2024-01-01", "e": "04-09-2012"}]')
    assert read(con, tmp_path, "a.parquet")[0] == {"a": "TINYINT", "d": "DATE"}
    assert read(con, tmp_path, "a.json")[0] == {"a": "BIGINT", "d": "DATE", "e": "VARCHAR"}
    assert read(con, tmp_path, "a.json", columns={"a": "INTEGER"})[0]["a"] == "INTEGER"


def test_a_broken_file_is_an_error_of_the_source(con, tmp_path):
    """What the engine cannot read is told with the server's name."""
    write(tmp_path, "a.parquet", "this is no parquet")
    with pytest.raises(SourceError, match="server 'raw'"):
        read(con, tmp_path, "a.parquet")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"path": "no.csv"}, r"no file or folder 'no\.csv'.*correct `path`"),
        ({"path": "*.none"}, "no file matches"),
        ({"path": "empty", "format": "csv"}, "no csv file is in the folder"),
        ({"path": "empty"}, "Declare `format`"),
        ({}, "Declare `path`"),
        ({"path": "a.csv", "format": "cvs"}, "Did you mean 'csv'"),
        ({"path": "a.xyz"}, "Declare `format`"),
        ({"path": "a.csv", "type": "postgres"}, "no source of type 'postgres'"),
        ({"package": "nobody_has_this", "path": "a.csv"}, "'nobody_has_this' is not installed"),
        ({"package": "duckdb", "path": "../pip/__init__.py", "format": "csv"}, "outside package|no file"),
    ],
)
def test_a_source_that_is_not_there_says_where_it_was_looked_for(con, tmp_path, settings, why):
    """Each error names the server and the next step."""
    (tmp_path / "empty").mkdir()
    write(tmp_path, "a.xyz", "a")
    write(tmp_path, "a.csv", "a,b\n")
    with pytest.raises(SourceError, match=why):
        open_source(con, Server("raw", "local", settings), root=tmp_path)


def test_the_environment_wins_over_the_contract(con, tmp_path):
    """A setting of `resources/` replaces the contract's."""
    write(tmp_path, "here.csv", PLAIN)
    assert read(con, tmp_path, "gone.csv", overrides={"path": "here.csv"}) == EXPECTED


def test_a_package_is_read_without_being_imported(con, tmp_path, monkeypatch):
    """Data files lie beside code that must not run to find them."""
    write(tmp_path, "site/with_data/__init__.py", "raise RuntimeError('imported')")
    write(tmp_path, "site/with_data/data/a.csv", PLAIN)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    server = Server("raw", "custom", {"package": "with_data", "path": "data/a.csv"})
    source = open_source(con, server, root=tmp_path / "elsewhere")
    assert con.execute(f"SELECT count(*) FROM {source.relation}").fetchone() == (2,)
    assert source.consumed[0].path == "with_data/data/a.csv"


def test_a_file_that_changes_after_detection_raises(con, tmp_path):
    """A value that no longer fits its proved type is an error, never NULL."""
    path = write(tmp_path, "a.csv", PLAIN)
    source = open_source(con, Server("raw", "local", {"path": "a.csv"}), root=tmp_path)
    path.write_text(PLAIN.replace("2024-01-31", "sometime"), encoding="utf-8")
    with pytest.raises(duckdb.Error):
        con.execute(f"SELECT * FROM {source.relation}").fetchall()


def test_formats_of_the_standard_become_those_of_the_engine():
    """ODCS writes formats as Java does."""
    assert strptime_format("yyyy-MM-dd'T'HH:mm:ss.SSS") == "%Y-%m-%dT%H:%M:%S.%g"
    assert strptime_format("d/M/yy") == "%-d/%-m/%y"
    assert strptime_format("EEE, dd MMM uuuu 'o''clock' h:mm a") == "%a, %d %b %Y o'clock %-I:%M %p"
    assert (strptime_format("i32 yy", strict=True), strptime_format("i32 yy")) == ("", "i32 %y")
    assert strptime_format("%d.%m.%Y") == "%d.%m.%Y"


def test_a_quoted_delimiter_does_not_mislead(tmp_path):
    """Fields are counted as a CSV reader counts them."""
    path = write(tmp_path, "a.csv", 'id,who\n1,"a;b;c"\n2,"d\ne"\n')
    assert (detect(path).delimiter, detect(path).header) == (",", ("id", "who"))


# --- real files ---------------------------------------------------------------------------------------------------

needs_marketing = pytest.mark.skipif(
    not (REAL / "marketing").is_dir(), reason="the marketing files lie beside the project only where they were given"
)


@needs_marketing
@pytest.mark.parametrize(
    "name", ["comma_quoted_usdate.csv", "semicolon_bom_crlf_isodate.csv", "tab_trailing_spaces.csv"]
)
def test_variants_of_a_real_file_read_to_equal_values(con, name):
    """The same customers in three dialects are the same rows."""
    original = read(con, REAL, "marketing/marketing_campaign.csv")
    assert original[0]["Dt_Customer"] == "DATE"
    assert len(original[1]) == 2240
    assert read(con, REAL, f"marketing/variants/{name}") == original


@needs_marketing
def test_the_raw_marketing_file_keeps_its_incomes_as_text(con):
    """`$84,835.00` is no number; 24 incomes are absent; US dates are proved by days above 12."""
    types, rows = read(con, REAL, "marketing/marketing_data.csv")
    at = list(types).index("Income")
    assert (types["Income"], types["DtCustomer"], len(rows)) == ("VARCHAR", "DATE", 2240)
    assert sum(row[at] is None for row in rows) == 24


@needs_marketing
def test_a_folder_of_variants_is_one_table(con, tmp_path):
    """Files of several dialects with the same columns add up, if they agree on dates."""
    for name in ("semicolon_bom_crlf_isodate.csv", "tab_trailing_spaces.csv"):
        shutil.copy(REAL / "marketing" / "variants" / name, tmp_path / name)
    with_dates_of_two_kinds = read(con, tmp_path, ".", format="csv")
    assert (with_dates_of_two_kinds[0]["Dt_Customer"], len(with_dates_of_two_kinds[1])) == ("VARCHAR", 4480)


@pytest.mark.skipif(not (REAL / "jaffle_shop").is_dir(), reason="the jaffle_shop files are not beside the project")
def test_the_classic_example_reads(con):
    """CRLF, integers and ISO dates."""
    types, rows = read(con, REAL, "jaffle_shop/raw_orders.csv")
    assert types == {"id": "BIGINT", "user_id": "BIGINT", "order_date": "DATE", "status": "VARCHAR"}
    assert (len(rows), isinstance(rows[0][2], date), isinstance(rows[0][2], datetime)) == (99, True, False)


@pytest.mark.parametrize("damage", ["no pack", "cut", "flipped"])
def test_a_damaged_pack_is_named(tmp_path, damage):
    """A gzip file that ends early, or is none, gives one line with its path."""
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,x%d\n" % (n, n * n) for n in range(2000)))
    half = len(whole) // 2
    content = {
        "no pack": b"a,b\n1,2\n",
        "cut": whole[:half],
        "flipped": whole[:half] + bytes([whole[half] ^ 255]) + whole[half + 1 :],
    }
    path = tmp_path / "t.csv.gz"
    path.write_bytes(content[damage])
    with duckdb.connect() as con, pytest.raises(SourceError, match=r"t\.csv\.gz: it cannot be read to its end"):
        read_files(con, [path], {}, where="here")
