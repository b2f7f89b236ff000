"""Headless Chromium, a page of many parts for it, and how it is told to trust the tests' certificates."""

from __future__ import annotations

import base64
import hashlib
import ssl
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.tools import chromium, require

BROWSER_S = 120
PARTS = 20
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1400,900", "--virtual-time-budget=5000"),
)
_PAGE = """<!doctype html><title>shop</title>{styles}
<body>{images}<p id="told"></p>{scripts}
<script>
addEventListener("load", () => {{
  const parts = performance.getEntriesByType("resource");
  const bad = parts.filter(part => part.responseStatus !== 200).map(part => part.name);
  const how = [...new Set(parts.map(part => part.nextHopProtocol))];
  const images = [...document.images].filter(image => image.complete && image.naturalWidth === 10).length;
  const styled = getComputedStyle(document.body).getPropertyValue("--style-4");
  const told = {{parts: parts.length, bad, how, images, scripts: self.ran || 0, styled}};
  document.getElementById("told").textContent = JSON.stringify(told);
}});
</script>"""
_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'


def page_folder(folder: Path) -> Path:
    """index.html with 5 styles, 5 scripts and 10 images."""
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.css").write_text(f"body {{ --style-{number}: yes }}")
        (folder / f"{number}.js").write_text("self.ran = (self.ran || 0) + 1;" + " " * 50_000)
    for number in range(10):
        (folder / f"{number}.svg").write_text(_SVG)
    styles = "".join(f'<link rel="stylesheet" href="{number}.css">' for number in range(5))
    styles += '<link rel="icon" href="data:,">'
    images = "".join(f'<img src="{number}.svg" alt="">' for number in range(10))
    scripts = "".join(f'<script src="{number}.js"></script>' for number in range(5))
    (folder / "index.html").write_text(_PAGE.format(styles=styles, images=images, scripts=scripts))
    return folder


def pin(port: int) -> str:
    """The digest of the key by which Chromium is told to trust the listener."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def browse(folder: Path, url: str, *flags: str) -> str:
    """The page's elements after its scripts have run; a picture of it is in `folder`."""
    folder.mkdir()
    quic = "--enable-quic" if "--enable-quic" in flags else "--disable-quic"
    command = [require(chromium), *_FLAGS, quic, f"--user-data-dir={folder / 'profile'}", *flags]
    command += [f"--screenshot={folder / 'page.png'}", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BROWSER_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
