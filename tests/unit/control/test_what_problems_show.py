"""What a message about a faulty file tells, and what it never tells."""

from __future__ import annotations

import json

import pytest

from edge.control.config.document import parse
from edge.control.config.load import Loaded, load
from edge.control.config.problem import Problem

HEAD = """\
version: 1
listeners: [{name: web, address: "127.0.0.1:0"}]
clusters: [{name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:80"}]}}]
routes: [{name: all, parentRefs: [{name: web}], rules: [{backendRefs: [{name: up}]}]}]
"""
CHAIN = "modules: {m: {builtin: api-key}}\nfilterChains: {c: [{name: f, module: m, wrong: 1, %s}]}\n"
MANY_LINES = """\
modules: {m: {builtin: api-key}}
filterChains:
  c:
    - {name: f, module: m, config: {a: "b
      hush"}, wrong: 1}
"""
BLOCK = """\
modules: {m: {builtin: api-key}}
filterChains:
  c:
    - name: f
      config: |
        hush
      module: gone
"""
OTLP = 'telemetry: {tracing: {otlp: {endpoint: "http://c:4318", wrong: 1, headers: %s}}}\n'


def problems_of(text: str) -> list[Problem]:
    loaded = load("f.yaml", text.encode())
    assert not isinstance(loaded, Loaded)
    return loaded


def everything(problems: list[Problem]) -> str:
    return "\n".join(each.text() + each.github() + json.dumps(each.data()) for each in problems)


@pytest.mark.parametrize(
    "faulty",
    [
        CHAIN % "env: {TOKEN: hush-a, OTHER: 'hush b', NUMBER: 12345678}",
        CHAIN % "env: {TOKEN: [hush]}",
        CHAIN % "env: hush",
        CHAIN % "env: 12345678",
        CHAIN % "config: {keys: {hush-key: ada, hush-two: bob}}",
        CHAIN % "config: {keys: {hush: 1, hush: 2}}",
        CHAIN % 'config: "hush"',
        CHAIN % "vmConfig: hush",
        CHAIN % "config: {a: &hush {b: hush}, c: *hush}",
        OTLP % "{authorization: Bearer hush}",
        OTLP % "Bearer hush",
        OTLP % "{authorization: 12345678}",
        MANY_LINES,
        BLOCK,
    ],
)
def test_a_secret_in_the_file_is_in_no_message(faulty: str) -> None:
    told = everything(problems_of(HEAD + faulty))
    assert "hush" not in told and "12345678" not in told
    assert "f.yaml:" in told


def test_the_caret_still_stands_below_the_fault() -> None:
    problems = problems_of(HEAD + CHAIN % "env: {TOKEN: hush, A: {secretRef: 'env:GONE'}}")
    (unknown,) = [each for each in problems if each.path.endswith("wrong")]
    assert "env: {TOKEN: ****, A: {secretRef: 'env:GONE'}}" in unknown.source
    assert unknown.source[unknown.column - 1 :].startswith("wrong: 1")


def test_values_that_are_no_secrets_are_shown() -> None:
    (problem,) = problems_of(HEAD.replace("version: 1", "version: 'two'"))
    assert "'two'" in problem.source and "two" in problem.message


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x07", "\x85", "\u2028", "\u202e"])
def test_control_characters_of_the_file_do_not_reach_a_terminal(character: str) -> None:
    written = json.dumps(f"0{character}0")
    faulty = [
        f"version: 1\nlisteners: {written}\n",
        HEAD + f"limits: {{{written}: 1}}\n",
        HEAD.replace("name: web", f"name: {written}"),
    ]
    for text in faulty:
        for problem in problems_of(text):
            for told in (problem.path, problem.message, problem.hint):
                assert told.isprintable(), told


def test_raw_control_characters_of_a_line_keep_their_column() -> None:
    document = parse("f.yaml", 'a: "\u202e"  # \u202e\n'.encode())
    problem = document.problem(("a",), "wrong-value", "is wrong")
    assert problem.text().splitlines()[1] == '    1 | a: "\ufffd"  # \ufffd'


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("listeners:", "listners:"),
        ("clusters:", "cluster:"),
        ("clusters: [{name: up,", "clusters: [{nmae: up,"),
        ('listeners: [{name: web, address: "127.0.0.1:0"}]', "listeners: web"),
        ("clusters: [{name: up,", "clusters: [{name: 7,"),
    ],
)
def test_what_follows_from_a_fault_is_no_fault_of_its_own(right: str, wrong: str) -> None:
    problems = problems_of(HEAD.replace(right, wrong))
    assert problems and not [each for each in problems if each.code == "undefined"], everything(problems)


def test_a_section_that_is_simply_not_there_defines_nothing() -> None:
    lines = HEAD.splitlines(keepends=True)
    problems = problems_of(lines[0] + lines[1] + lines[3])
    assert [each.message for each in problems] == ["no cluster is named 'up'"]
