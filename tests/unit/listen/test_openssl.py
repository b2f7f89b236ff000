"""The native calls on TLS contexts do what they say, here."""

from __future__ import annotations

import ssl

from edge.listen import openssl


def test_the_self_test_passes_on_this_openssl():
    assert openssl._native is not None


def test_a_tuned_context_prefers_the_cheaper_suite():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert openssl.tune(context)
    names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
    assert names == openssl.SUITES.split(":")


def test_a_tuned_context_keeps_no_sessions():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    openssl.tune(context)
    mode = openssl._native.control(openssl._pointer(context), 44, 0, None)
    assert mode == 0
