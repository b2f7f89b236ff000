"""Whatever a file holds, loading it gives a configuration or problems with places; it never raises."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.control.admin.redact import redacted
from edge.control.config.build import Artefacts, build
from edge.control.config.load import Loaded, load
from edge.control.config.problem import Problem

WORDS = """
version admin address listeners name protocols h1 tls certificates certFile keyFile hostnames
modules url builtin api-key sha256 filterChains module config env secretRef limits memory
failStrategy FAIL_OPEN allow backends routes parentRefs rules matches path type PathPrefix Exact
value / headers method GET filters ExtensionRef extensionRef kind FilterChain URLRewrite urlRewrite
ReplacePrefixMatch replacePrefixMatch backendRefs timeouts request 10s clusters discovery Static
endpoints 127.0.0.1:80 web up telemetry tracing otlp endpoint http://127.0.0.1:4318 sampler ratio
accessLog stdout 32Mi
""".split()
SCALARS = (
    st.sampled_from(WORDS)
    | st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-1, 2)
    | st.text(max_size=8)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=25,
)
GOOD: dict[str, Any] = {
    "version": 1,
    "listeners": [{"name": "web", "address": "127.0.0.1:0"}],
    "routes": [
        {
            "name": "all",
            "parentRefs": [{"name": "web"}],
            "rules": [{"matches": [{"path": {"value": "/a"}}], "backendRefs": [{"name": "up"}]}],
        }
    ],
    "clusters": [{"name": "up", "discovery": {"type": "Static", "endpoints": [{"address": "127.0.0.1:80"}]}}],
}


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found.append((data, key))
        found += places(value)
    return found


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """The good file with some of its parts replaced or gone."""
    data = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        known = places(data)
        if not known:
            break
        container, key = draw(st.sampled_from(known))
        if draw(st.booleans()):
            container[key] = draw(TREES)
        elif isinstance(container, dict):
            del container[key]
    return data


def judged(content: bytes) -> Loaded | list[Problem]:
    loaded = load("f.yaml", content)
    if isinstance(loaded, Loaded):
        ports = {listener.name: 1 for listener in loaded.root.listeners}
        assert build(loaded, 1, ports, Artefacts()).revision == 1
        return loaded
    assert loaded
    lines = content.decode("utf-8", "replace").splitlines() or [""]
    for problem in loaded:
        assert 1 <= problem.line <= len(lines) + 1
        assert problem.column >= 1 and problem.width >= 1
        assert problem.message and "\n" not in problem.message
        assert problem.text() and problem.github()
        json.dumps(problem.data())
    return loaded


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_any_tree(tree: Any) -> None:
    judged(json.dumps(tree).encode())
    redacted(tree)


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_a_damaged_file(tree: Any) -> None:
    judged(json.dumps(tree).encode())
    redacted(tree)


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=60) | st.text("{}[]:,-&*!|>'\"#%@` \n\tab1<", max_size=40)
)
def test_any_text(text: str) -> None:
    judged(text.encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    judged(content)


def test_the_good_file_is_good() -> None:
    assert isinstance(judged(json.dumps(GOOD).encode()), Loaded)
