"""Run with curl_cffi's folder in PYTHONPATH: `URL CA-FILE RESOLVE http-version`, tells in JSON what came."""

from __future__ import annotations

import hashlib
import json
import sys


def main() -> None:
    from curl_cffi import CurlOpt, requests  # type: ignore[import-not-found,unused-ignore]

    url, authority, resolve, version = sys.argv[1:]
    with requests.Session(curl_options={CurlOpt.RESOLVE: [resolve]}) as session:
        answer = session.get(
            url, http_version=version, verify=authority, impersonate="chrome", timeout=60, proxies={}
        )
    told = {
        "status": answer.status_code,
        "version": answer.http_version,
        "digest": hashlib.sha256(answer.content).hexdigest(),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
