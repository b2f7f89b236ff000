"""Commands, flags and exit codes. What a command does is imported when it is called.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 configuration invalid, 4 difference found,
5 refused by policy, 6 admin API not reachable, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INVALID = 3
EXIT_REFUSED = 5
EXIT_INTERRUPTED = 130

app = App(
    name="edge",
    help="A sidecar-less edge plugin host: HTTP edge, sandboxed WASM filters, OpenTelemetry.",
    version_flags=[],
    help_format="plaintext",
    result_action="return_value",
)
filter_app = App(name="filter", help="Look into a filter module, or run it once.", help_format="plaintext")
app.command(filter_app)

StateDir = Annotated[Path | None, Parameter(name="--state-dir")]


@app.command
def run(
    *,
    config: Annotated[Path, Parameter(name=["--config", "-c"])],
    workers: int = 1,
    state_dir: StateDir = None,
    grace: str = "10s",
) -> int:
    """Serve a configuration until SIGTERM or SIGINT; a second signal ends at once.

    Parameters
    ----------
    config
        The YAML file.
    workers
        Only 1 for now.
    state_dir
        Where compiled modules are kept. Default: $EDGE_STATE_DIR, else under $XDG_STATE_HOME.
    grace
        How long running requests may take to finish after the first signal.
    """
    from edge.cli.run import run_file

    return run_file(config, workers, state_dir, grace)


@app.command
def version() -> int:
    """Print the version."""
    from edge import __version__

    print(f"edge {__version__}")
    return EXIT_OK


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        code = app(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"edge: {str(error).strip()}", file=sys.stderr)
        print("edge: `edge --help` lists the commands", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say, nor anybody to say it to.
        sys.stderr.close()
        return EXIT_FAILED
    return code if isinstance(code, int) else EXIT_OK
