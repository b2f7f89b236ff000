"""What to try, and what will happen: ready-made curl lines for the ports in use."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent


def tour(http: int, https: int, admin: int, folder: Path, ca: Path) -> str:
    """The text `edge demo` prints once it serves."""
    web, secure = f"http://localhost:{http}", f"https://localhost:{https}"
    pages = f"http://127.0.0.1:{admin}"
    return dedent(f"""\
        edge demo is ready. Each request to /… passes three sandboxed WASM filters, in this order:
          authn    api-key, Rust                        who is it?
          headers  header-transform, AssemblyScript     edits request and response headers
          split    ab-split, C                          80 % to shop v1, 20 % to shop v2

        1. Without a key: authn answers 401 itself. headers, split and the shop never see the request.
             curl -i {web}/cart
        2. With a key: authn puts x-consumer: ada in the key's place, headers adds x-original-path: /cart
           for the shop and x-served-by: edge for you, split chooses a version and remembers it in a cookie.
             curl -i {web}/cart -H 'x-api-key: demo-key-ada'
        3. The cookie sticks: always v2.
             curl -s {web}/cart -H 'x-api-key: demo-key-bob' -b shop-variant=v2
        4. Your choice: split takes the version from x-choose-variant and sets the cookie.
             curl -i {web}/cart -H 'x-api-key: demo-key-bob' -H 'x-choose-variant: v2'
        5. The same over TLS, with the demo's own authority:
             curl -i --http1.1 {secure}/cart -H 'x-api-key: demo-key-ada' --cacert {ca}
           over HTTP/2:
             curl -i --http2 {secure}/cart -H 'x-api-key: demo-key-ada' --cacert {ca}
           over HTTP/3, with a curl that has it, or with Python:
             curl -i --http3 {secure}/cart -H 'x-api-key: demo-key-ada' --cacert {ca}
             {sys.executable} -m edge.cli.demo.h3 {secure}/cart -H 'x-api-key: demo-key-ada' --cacert {ca}
        6. A rule without filters: straight to shop v1.
             curl -i {web}/open/hours

        Where the time went, filter by filter:
             {pages}/traces.html     in a browser, refreshes itself
             curl -s '{pages}/traces?limit=1'
        More:  {pages}/metrics   {pages}/config   {folder / "edge.yaml"}   {folder / "access.log"}
        To send the traces to Jaeger as well: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 edge demo
        Stop with Ctrl-C.
        """)
