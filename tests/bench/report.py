"""The table on the screen and the JSON file."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.bench.measure import Measured
from tests.bench.rows import Row

REFERENCE = "envoy"
SUBJECT = "edge"


def summary(row: Row, results: Sequence[Measured]) -> dict[str, Any]:
    """One row as data. `ratio` is edge's figure divided by Envoy's, or edge's where it is alone."""
    figures = {result.peer: result.figure for result in results}
    ours, theirs = figures.get(SUBJECT), figures.get(REFERENCE)
    ratio = ours if row.alone else ours / theirs if ours is not None and theirs else None
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.figure.value,
        "alone": row.alone,
        "goal": row.goal,
        "ratio": ratio,
        "met": None if ratio is None or row.goal is None else ratio <= row.goal,
        "peers": {
            result.peer: {
                "figure": result.figure,
                "values": result.values,
                "requests": result.requests,
                "rates": result.rates,
                "errors": result.errors,
                "notes": result.notes,
                "failure": result.failure,
            }
            for result in results
        },
    }


def machine() -> dict[str, Any]:
    """Where and of what this was measured."""
    commit = _git("rev-parse", "HEAD")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit,
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def lines(data: dict[str, Any]) -> list[str]:
    """One row as text."""
    shown = []
    for name, peer in data["peers"].items():
        if peer["figure"] is None:
            shown.append(f"{name} –")
            continue
        spread = f" ({min(peer['values']):.2f}–{max(peer['values']):.2f})" if len(peer["values"]) > 1 else ""
        notes = "".join(f" {key}={value:.2f}" for key, value in peer["notes"].items())
        errors = f" ERRORS {peer['errors']}" if peer["errors"] else ""
        shown.append(f"{name} {peer['figure']:.2f}{spread}{notes}{errors}")
    ratio = f"{data['ratio']:.2f}" if data["ratio"] is not None else "–"
    goal = f"≤ {data['goal']}" if data["goal"] is not None else "–"
    verdict = {True: "met", False: "MISSED", None: ""}[data["met"]]
    what = "figure" if data["alone"] else "ratio"
    head = f"{data['title']:<44} {what} {ratio:>5}  goal {goal:<6} {verdict}"
    failures = [f"    {name}: {peer['failure']}" for name, peer in data["peers"].items() if peer["failure"]]
    return [head, f"    {data['unit']}: " + "; ".join(shown), *failures]


def is_sound(row: dict[str, Any]) -> bool:
    """No errors, no server that did not start, a ratio where a goal is set."""
    peers = row["peers"].values()
    return not any(peer["errors"] or peer["failure"] for peer in peers)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as info:
        return next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "")
