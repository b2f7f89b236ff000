"""Patterns of rules: whole texts, no backtracking, bounded cost."""

from __future__ import annotations

import pytest

from edge.route.pattern import MAX_PATTERN_BYTES, MAX_PROGRAM, PatternError, first_segment, whole


def test_a_pattern_matches_whole_texts() -> None:
    matches = whole(b"/items/[0-9]+")
    assert matches(b"/items/17")
    assert not matches(b"/items/17/")
    assert not matches(b"x/items/17")
    assert not matches(b"/items/17\n")
    assert whole(b"(?i)/A")(b"/a")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (b"(", "not a pattern of RE2: missing ): ("),
        (rb"(a)\1", "not a pattern of RE2: invalid escape sequence: \\1"),
        (b"(?=a)", "not a pattern of RE2: invalid perl operator: (?="),
        (b"a{2000}", "not a pattern of RE2: invalid repetition size: {2000}"),
        (b"a" * (MAX_PATTERN_BYTES + 1), "the pattern has 1025 bytes; at most 1024 are allowed"),
        (b"(abcdefghij){60}", f"the pattern compiles to 604 instructions; at most {MAX_PROGRAM} are allowed"),
        (
            b"((a{20}){20}){2}b?",
            f"the pattern compiles to 806 instructions; at most {MAX_PROGRAM} are allowed",
        ),
        (b"\\pL{900}\\pL{900}", "not a pattern of RE2: pattern too large - compile failed"),
    ],
)
def test_what_is_no_pattern_or_costs_too_much_is_refused(pattern: bytes, reason: str) -> None:
    with pytest.raises(PatternError) as raised:
        whole(pattern)
    assert str(raised.value) == reason


def test_what_blows_up_backtracking_matchers_is_harmless() -> None:
    assert not whole(b"(a|a)*(a|a)*b")(b"a" * 16_000)
    assert not whole(b"(.*)(.*)(.*)(.*)(.*)[^a]")(b"a" * 16_000)


@pytest.mark.parametrize(
    ("pattern", "segment"),
    [
        (b"/items/[0-9]+", b"items"),
        (b"/items/(a|b)/.*", b"items"),
        (b"/[i]tems/x?", b"items"),
        (b"/shop/[a-m]*|/shop/[0-9]", b"shop"),
        (b"//x", b""),
        (b"/items", None),
        (b"/items/?", None),
        (b"/items[0-9]/x", None),
        (b"(?i)/items/x", None),
        (b"/(a|b)/x", None),
        (b"/a/x|/b/x", None),
        (b".*", None),
        (b"/.*", None),
        (b".*/items/x", None),
        (b"", None),
        (b"[0-9]+", None),
    ],
)
def test_the_first_segment_is_known_where_all_matches_share_it(pattern: bytes, segment: bytes | None) -> None:
    assert first_segment(pattern) == segment
