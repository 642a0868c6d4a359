"""YAML with lines, and all the ways in which a file is refused before anybody looks at what it means."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproducts.declare.positions import MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse_yaml, read_yaml
from dataproducts.errors import DeclarationError

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def refused(text):
    """Return the one fault of a text that is refused."""
    with pytest.raises(DeclarationError) as caught:
        parse_yaml(text, "f.yaml")
    (fault,) = caught.value.faults
    return fault


def test_lines_of_keys_and_items():
    """Every key and item knows its line, and a place that does not exist that of what is around it."""
    document = parse_yaml("a: 1\nb:\n  - x: 1\n    y: 2\n  - z: 3\n", "f.yaml")

    assert document.line("b", 0, "y") == 4
    assert document.line("b", 1, "z") == 5
    assert document.line("b", 1, "nothing") == 5
    assert str(document.mark("b")) == "f.yaml:2"


def test_scalars_suit_json_schema():
    """Dates and times of day stay text, keys are always text, and numbers and truth values are what YAML says."""
    data = parse_yaml("a: 2024-01-31\nb: 12:30\non: yes\n1: ~\nc: 1.5\nd: 0x1f\ne: '7'\nf:", "f.yaml").data

    assert data == {"a": "2024-01-31", "b": "12:30", "on": True, "1": None, "c": 1.5, "d": 31, "e": "7", "f": None}


def test_anchors_and_merges():
    """An anchor may be used, and `<<` fills in what is missing."""
    document = parse_yaml("a: &x {q: 1, r: 2}\nb:\n  <<: *x\n  r: 3\nc: *x\n", "f.yaml")

    assert document.data == {"a": {"q": 1, "r": 2}, "b": {"q": 1, "r": 3}, "c": {"q": 1, "r": 2}}


@given(VALUES)
def test_json_is_read_as_json_reads_it(value):
    """A JSON document without control characters is YAML: what is dumped comes back."""
    import json

    data = parse_yaml(json.dumps({"value": value}, ensure_ascii=False), "f.yaml").data

    assert data == {"value": value}


def test_digest_ignores_layout():
    """Comments, the order of keys and the way in which a list is written do not change the digest; values do."""
    digests = [parse_yaml(text, "f").digest for text in ("a: 1\nb: [2]\n", "# x\nb:\n  - 2\na: 1", "a: 1\nb: [3]")]

    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\na: 2", 2, "stands twice, first in line 1"),
        ("a:\n\t- b", 2, "not YAML"),
        ("a: [1", 2, "not YAML"),
        ("a: 1\n---\nb: 2", 2, "several documents"),
        ("", 1, "is empty"),
        ("a: !!python/object:os.system {}", 1, "tag"),
        ("a: !mine 3", 1, "tag"),
        ("a: *nowhere", 1, "has no anchor"),
        ("a: &x [*x]", 1, "inside its own anchor"),
        ("? [1]\n: 2", 1, "stands for a key"),
        ("a: b\nc: \x07", 2, "U+0007"),
        ("a: " + "9" * 5000, 1, "cannot be read as int"),
        ("a: " + "[" * 4000, 1, "nested more than"),
        ("<<: 3", 1, "merges something that is no mapping"),
        ("- 1\n" * (MAX_VALUES + 1), MAX_VALUES + 1, "values"),
        ("a" * (MAX_BYTES + 1), 0, "characters"),
    ],
)
def test_refused_texts_name_line_and_fix(text, line, what):
    """What cannot be accepted is refused with its line and a fix."""
    fault = refused(text)

    assert (fault.line, what in fault.what, bool(fault.fix)) == (line, True, True), str(fault)


def test_explosive_anchors_are_refused_at_once():
    """Anchors that stand for a thousand million values are counted, not built."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    began = time.monotonic()

    assert "stands for more than" in refused(text).what
    assert time.monotonic() - began < 1


def test_depth_counts_through_anchors():
    """Nesting cannot be hidden in anchors."""
    half = MAX_DEPTH // 2 + 2
    text = f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}\n"

    assert refused(text).line == 2


def test_files_that_cannot_be_read(tmp_path):
    """An absent file, one that is not UTF-8 and one that is too large are faults of that file."""
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"a: 1\n" * 300_000)
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    said = {}
    for name in ("absent", "latin", "large"):
        with pytest.raises(DeclarationError) as caught:
            read_yaml(tmp_path / f"{name}.yaml", f"{name}.yaml")
        said[name] = (caught.value.faults[0].line, caught.value.faults[0].what)

    assert said["absent"] == (0, "the file cannot be read: No such file or directory")
    assert said["latin"] == (2, "the file is not UTF-8")
    assert said["large"][0] == 0
    assert read_yaml(tmp_path / "bom.yaml", "bom.yaml").data == {"a": 1}
