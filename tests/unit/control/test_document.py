"""YAML to plain data with places; nothing in a file can raise or expand."""

from __future__ import annotations

import pytest

from edge.control.config.document import DEPTH_LIMIT, Mark, parse


def data_of(text: str) -> object:
    document = parse("f.yaml", text.encode())
    assert document.problems == []
    return document.data


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("0o17", "0o17"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0.05", 0.05),
        ("1.5e+3", 1500.0),
        ("'12'", "12"),
        ('"true"', "true"),
        ("12" * 20, "12" * 20),
    ],
)
def test_only_what_looks_like_a_number_or_a_constant_is_one(written: str, meant: object) -> None:
    value = data_of(f"k: {written}\n")
    assert value == {"k": meant}
    assert type(value["k"]) is type(meant)  # type: ignore[index]


def test_the_order_of_the_file_is_kept() -> None:
    assert list(data_of("{b: 1, a: 2, c: 3}")) == ["b", "a", "c"]  # type: ignore[call-overload]


def test_keys_and_values_know_their_places() -> None:
    document = parse("f.yaml", b"a:\n  - {name: web,\n     port: 80}\n")
    assert document.keys["a", 0, "port"] == Mark(2, 5, 4)
    assert document.values["a", 0, "port"] == Mark(2, 11, 2)
    assert document.values["a", 0, "name"] == Mark(1, 11, 3)


def test_a_problem_at_an_unknown_path_stands_at_its_nearest_parent() -> None:
    document = parse("f.yaml", b"a:\n  b: 1\n")
    problem = document.problem(("a", "x", 3), "wrong-value", "is odd")
    assert (problem.line, problem.column, problem.path) == (2, 3, "a.x[3]")


HOSTILE = {
    "an alias bomb": "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
    "an anchor in itself": "a: &a [*a]\n",
    "a Python tag": "a: !!python/object/apply:os.system ['true']\n",
    "a tagged scalar": "a: !secret x\n",
    "a merge key": "a: {<<: {b: 1}}\n",
    "a mapping as key": "{? {a: b} : c}\n",
    "a doubled key": "a: 1\na: 2\n",
    "an open bracket": "a: [1\n",
    "a control byte": "a: \x01\n",
    "no content": "# nothing\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "great depth": "a: " + "[" * (DEPTH_LIMIT + 2) + "]" * (DEPTH_LIMIT + 2),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_plain_is_a_problem_with_a_place(text: str) -> None:
    document = parse("f.yaml", text.encode())
    assert document.problems
    for problem in document.problems:
        assert 1 <= problem.line <= text.count("\n") + 2
        assert problem.column >= 1
        assert problem.text().startswith(f"f.yaml:{problem.line}:{problem.column}: error: ")


def test_bytes_that_are_not_utf8_are_named_by_line_and_column() -> None:
    (problem,) = parse("f.yaml", b"a: 1\nb: \xff\n").problems
    assert (problem.line, problem.column, problem.message) == (2, 4, "the file is not UTF-8")


def test_one_fault_hides_no_other() -> None:
    document = parse("f.yaml", b"a: 1\na: 2\nb: !x y\nc: {<<: {}}\n")
    assert [problem.line for problem in document.problems] == [2, 3, 4]
