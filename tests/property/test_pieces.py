"""A file loaded in pieces comes to what it comes to as a whole, whatever was edited, errors included."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from unittest import mock

import msgspec
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.control import drafting
from edge.control.config.pieces import Piece, cut, load_pieces
from edge.control.draft import Draft, Outcome

HEAD = """\
version: 1
admin: {address: "127.0.0.1:0"}
listeners:  # where
  - {name: web, address: "127.0.0.1:0"}
  - {name: shop, address: "127.0.0.1:0", hostnames: ["*.shop.example"]}
"""
TAIL = """\
clusters:
  - {name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:80"}]}}
  - name: "down"
    discovery: {type: Static, endpoints: [{address: "127.0.0.1:81"}]}
"""
ITEMS = [
    """\
  - name: NAME
    parentRefs: [{name: web}]
    rules:
      - matches: [{path: {type: Exact, value: /NAME}}]
        backendRefs: [{name: up}]
""",
    """\
  - {"name": "NAME", "parentRefs": [{"name": "web"}], "rules": [{"backendRefs": [{"name": "down"}]}]}
""",
    """\
  # One with words of its own, & others.
  - name: NAME
    parentRefs:
    - name: shop
    - name: web
    hostnames: ["NAME.shop.example"]

    rules:
      - name: first
        filters:
          - type: DirectResponse
            directResponse:
              statusCode: 200
              body: |+
                - name: NAME
                 routes:

        # of the rule
      - matches:
          - path:
              value: /two
        timeouts: {request: 3s}
        backendRefs:
          - {name: up, weight: 1}
          - {name: down, weight: 2}
""",
    """\
  -
    name: 'NAME'
    parentRefs: [{name:
      web}]
    rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}]
""",
]
NAMES = st.sampled_from([f"n{number}" for number in range(12)])
PASTED = st.sampled_from(
    [
        "routes:\n", "- ", "  - ", "\n", "\t", " ", "#", '"', "'", "|", "&a ", "*a", "!!str ", "up", "web",
        "no", ": ", ":", "{", "}", "[", "]", ",", "---\n", "...\n", "%YAML 1.1\n", "- 0\n", "  - 0\n", "\r\n",
        "\u2028", "\ufeff", '"\\ud800"', "x: 1\n", "    x: 1\n", "routes: []\n", "weight: 0", "[0]",
        "  - {name: n1}\n", '? "', "~", "null", "hostnames: [a.shop.example]\n", "\x00", "- - ", "<<: ",
    ]
)  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> str:
    """A good one, most often."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    items = [draw(st.sampled_from(ITEMS)).replace("NAME", name) for name in names]
    parts = [HEAD, "routes:\n" + "".join(items), TAIL]
    if draw(st.booleans()):
        parts = [parts[0], parts[2], parts[1]]
    text = "".join(parts)
    dedent = draw(st.booleans()) and all("  - name: shop" not in item for item in items)
    return text.replace("\n  ", "\n").replace("\n  #", "\n#") if dedent else text


@st.composite
def edited(draw: st.DrawFn, text: str) -> str:
    """With up to three parts replaced, taken away, doubled or put in."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.sampled_from([0, 0, 1, 3, 20, 200])))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            text = text[:at] + draw(PASTED) + text[to:]
        elif kind == 1:
            lines = text.splitlines(keepends=True) or [""]
            line = draw(st.integers(0, len(lines) - 1))
            ways = [[], [lines[line]] * 2, [draw(PASTED), lines[line]]]
            lines[line : line + 1] = draw(st.sampled_from(ways))
            text = "".join(lines)
        elif kind == 2:
            text = text[:to] + text[at:to] + text[to:]
        else:
            text = text.replace(draw(NAMES), draw(NAMES), 1)
    return text


def outcome(file: Path, known: dict[str, Piece]) -> tuple[Outcome, dict[str, Piece] | None]:
    """As the supervisor gets it."""
    made = asyncio.run(drafting.draft(file, file.parent, known))
    assert not made.descriptors
    answer: Outcome = msgspec.msgpack.decode(msgspec.msgpack.encode(made.outcome), type=Outcome)
    return answer, made.pieces


def whole(file: Path) -> Outcome:
    with mock.patch.object(drafting, "load_pieces", return_value=None):
        return outcome(file, {})[0]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces") / "edge.yaml"


def test_after_any_edit_the_outcome_is_that_of_the_whole_file(file: Path) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        text = data.draw(files())
        known: dict[str, Piece] = {}
        for _ in range(3):
            file.write_text(text, "utf-8", "surrogatepass", newline="")
            found, pieces = outcome(file, known)
            assert found == whole(file)
            seen[f"{type(found).__name__}, {'in pieces' if pieces is not None else 'whole'}"] += 1
            known = pieces or known
            text = data.draw(edited(text))

    check()
    assert seen["Draft, in pieces"] > 200 and seen["Invalid, whole"] > 200, seen
    assert not seen["Invalid, in pieces"], "what is wrong is read as a whole"


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("order", [0, 1])
def test_every_style_is_cut(item: str, order: int, file: Path) -> None:
    routes = "routes:  # which\n\n" + item.replace("NAME", "a") + item.replace("NAME", "b")
    file.write_text(HEAD + (routes + TAIL if order else TAIL + routes))
    found, pieces = outcome(file, {})
    assert isinstance(found, Draft) and found == whole(file)
    assert pieces is not None and [piece.name for piece in pieces.values()] == ["a", "b"]


def test_only_what_changed_is_read() -> None:
    items = [ITEMS[0].replace("NAME", f"r{number}") for number in range(20)]
    first = load_pieces("f", (HEAD + "routes:\n" + "".join(items) + TAIL).encode(), {}, {})
    assert first is not None
    items[7:9] = [ITEMS[1].replace("NAME", "fresh")]
    with mock.patch("edge.control.config.pieces.read_item", side_effect=_read) as read:
        second = load_pieces("f", (HEAD + "routes:\n" + "".join(items) + TAIL).encode(), first[1], {})
    assert second is not None and read.call_count == 1
    assert [piece.name for piece in second[1].values()] == [
        *(f"r{number}" for number in range(7)), "fresh", *(f"r{number}" for number in range(9, 20))
    ]  # fmt: skip


def _read(text: str, depth: int) -> object:
    from edge.control.config.document import read_item

    assert "fresh" in text
    return read_item(text, depth)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: a\n", 'name: "a\n  - b"\n'),
        ("name: a\n", "name: &a a\n"),
        ("name: a\n", "name: !!str a\n"),
        ("name: a\n", "name: a\r\n"),
        ("name: a\n", "name: b\n"),
        ("name: web", "name: nowhere"),
        ("name: up", "name: nowhere"),
        ("{name: up}", "{name: up, weight: 0}"),
        ("rules:\n", "rules:\n" + 2 * "      - {name: twice, backendRefs: [{name: up}]}\n"),
        ("[{name: web}]", "[{name: shop}]\n    hostnames: [other.example]"),
        ("  - name: a\n", "\t- name: a\n"),
        ("routes:\n", "routes:\n  - &x {name: x}\n"),
        ("routes:\n", "routes: &x\n"),
        ("routes:\n", "'routes':\n"),
        ("routes:\n", "routes: []\nroutes:\n"),
        ("/a", "a"),
    ],
)  # fmt: skip
def test_what_is_not_plainly_good_is_read_as_a_whole(before: str, after: str) -> None:
    good = HEAD + "routes:\n" + "".join(ITEMS[0].replace("NAME", name) for name in "ab") + TAIL
    assert load_pieces("f", good.encode(), {}, {}) is not None
    wrong = good.replace(before, after, 1)
    assert wrong != good
    assert load_pieces("f", wrong.encode(), {}, {}) is None


def test_lines_keep_their_numbers() -> None:
    text = HEAD + "routes:\n" + "".join(item.replace("NAME", "a") for item in ITEMS) + TAIL
    made = cut(text)
    assert made is not None
    assert len(made.items) == len(ITEMS) and "".join(made.items) in text
    ours, theirs = made.rest.split("\n"), text.split("\n")
    assert len(ours) == len(theirs)
    tail = TAIL.splitlines()
    assert [ours.index(line) for line in tail] == [theirs.index(line) for line in tail]
    assert ours[made.mark.line][made.mark.column :] == "0"


def test_warnings_and_secrets_beside_the_routes_are_the_same(file: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("other.example")
    (file.parent / "key.pem").write_bytes(made.private_key_pem.bytes())
    (file.parent / "chain.pem").write_bytes(made.cert_chain_pems[0].bytes())
    tls = (
        '  - name: secure\n    address: "127.0.0.1:0"\n    tls:\n      certificates:\n'
        "        - {hostnames: [a.example], certFile: chain.pem, keyFile: key.pem}\n"
    )
    token = 'telemetry: {tracing: {otlp: {endpoint: "http://127.0.0.1:9", headers: {x-token: hush}}}}\n'
    routes = "routes:\n" + "".join(item.replace("NAME", f"n{at}") for at, item in enumerate(ITEMS))
    file.write_text(HEAD + tls + routes + TAIL + token)
    with mock.patch("uuid.uuid4", return_value="same"):
        found, pieces = outcome(file, {})
        assert found == whole(file)
    assert isinstance(found, Draft) and pieces is not None
    (warning,) = found.warnings
    assert "does not cover 'a.example'" in warning.text() and "hostnames: [a.example]" in warning.source
    assert b"hush" not in found.shown.config and str(file.parent / "key.pem") in found.files
