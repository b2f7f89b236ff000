"""Run with pycurl's folder in PYTHONPATH: fetch what standard input asks for, tell in JSON what came.

Input: {"version": 31, "ca": FILE, "resolve": "host:port:127.0.0.1", "requests": [{"url", "method",
"fields": ["name: value"], "upload": FILE}]}. All requests share one handle, so one connection.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

_LIMIT_S = 60


def _fetch(curl: Any, pycurl: Any, order: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.sha256()
    head: list[str] = []
    curl.reset()
    curl.setopt(pycurl.URL, one["url"])
    curl.setopt(pycurl.HTTP_VERSION, order["version"])
    curl.setopt(pycurl.CAINFO, order["ca"])
    curl.setopt(pycurl.RESOLVE, [order["resolve"]])
    curl.setopt(pycurl.NOPROXY, "*")
    curl.setopt(pycurl.TIMEOUT, _LIMIT_S)
    curl.setopt(pycurl.HTTPHEADER, ["expect:", *one.get("fields", [])])
    curl.setopt(pycurl.WRITEFUNCTION, digest.update)
    curl.setopt(pycurl.HEADERFUNCTION, lambda line: head.append(line.decode("latin-1").strip()))
    if one.get("method") == "HEAD":
        curl.setopt(pycurl.NOBODY, True)
    if "upload" in one:
        body = open(one["upload"], "rb")  # noqa: SIM115  (read while curl performs)
        curl.setopt(pycurl.POST, True)
        curl.setopt(pycurl.READFUNCTION, body.read)
        if one.get("length", True):
            curl.setopt(pycurl.POSTFIELDSIZE_LARGE, body.seek(0, 2))
            body.seek(0)
    curl.perform()
    return {
        "status": curl.getinfo(pycurl.RESPONSE_CODE),
        "version": curl.getinfo(pycurl.INFO_HTTP_VERSION),
        "connects": curl.getinfo(pycurl.NUM_CONNECTS),
        "size": int(curl.getinfo(pycurl.SIZE_DOWNLOAD)),
        "digest": digest.hexdigest(),
        "head": head,
    }


def main() -> None:
    import pycurl  # type: ignore[import-not-found,unused-ignore]

    order = json.load(sys.stdin)
    curl = pycurl.Curl()
    json.dump([_fetch(curl, pycurl, order, one) for one in order["requests"]], sys.stdout)
    curl.close()


if __name__ == "__main__":
    main()
