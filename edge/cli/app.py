"""Commands and flags. What a command does is imported when it is called; exit codes stand in `exits.py`."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from edge.cli.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, told
from edge.cli.state import CannotKeepState

_UNWRITABLE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))

app = App(
    name="edge",
    help="A sidecar-less edge plugin host: HTTP edge, sandboxed WASM filters, OpenTelemetry.",
    help_epilogue=told(),
    version_flags=[],
    help_format="plaintext",
    result_action="return_value",
)
filter_app = App(name="filter", help="Look into a filter module, or run it once.", help_format="plaintext")
app.command(filter_app)

Output = Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])]
StateDir = Annotated[Path | None, Parameter(name="--state-dir")]


@app.command
def run(
    *,
    config: Annotated[Path, Parameter(name=["--config", "-c"])],
    workers: int = 0,
    state_dir: StateDir = None,
    grace: str = "10s",
    watch: bool = False,
) -> int:
    """Serve a configuration until SIGTERM or SIGINT; a second signal ends at once.

    SIGHUP reloads it; SIGUSR1 opens access logs anew, after somebody has moved them away.

    Parameters
    ----------
    config
        The YAML file.
    workers
        How many processes serve. Default: one for each CPU this one may use.
    state_dir
        Where compiled modules are kept. Default: $EDGE_STATE_DIR, else under $XDG_STATE_HOME.
    grace
        How long running requests may take to finish after the first signal.
    watch
        Reload when the file, or one it names, has changed.
    """
    from edge.cli.run import run_file

    return run_file(config, workers, state_dir, grace, watch)


@app.command
def demo(*, state_dir: StateDir = None) -> int:
    """Serve two small shops behind three filters, with TLS, and print what to try.

    Parameters
    ----------
    state_dir
        Where the local authority, the demo's configuration and compiled modules are kept.
    """
    from edge.cli.demo.command import run_demo

    return run_demo(state_dir)


@app.command
def validate(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    output: Output = "text",
    format_: Annotated[Literal["plain", "github"], Parameter(name="--format")] = "plain",
    state_dir: StateDir = None,
    compile_: Annotated[bool, Parameter(name="--compile")] = True,
) -> int:
    """Check a configuration: every error at once. Opens no socket.

    Parameters
    ----------
    file
        The YAML file, or - for stdin.
    output
        json prints one document on stdout.
    format_
        github prints workflow commands, which show errors beside the lines of a change.
    state_dir
        Where compiled modules are kept.
    compile_
        Compile the modules too, as run does.
    """
    from edge.cli.validate import validate_file

    return validate_file(file, output, format_, state_dir, compile_)


@filter_app.command
def inspect(file: str, /, *, output: Output = "text") -> int:
    """Show a module's ABI, imports, exports, size and digest, and whether edge can run it.

    Parameters
    ----------
    file
        The .wasm file, or builtin:NAME.
    output
        json prints one document.
    """
    from edge.cli.filter.inspect import inspect_file

    return inspect_file(file, output)


@filter_app.command
def call(
    file: str,
    /,
    *,
    request: Path | None = None,
    response: Path | None = None,
    config: str = "",
    backend: list[str] | None = None,
    callout: list[str] | None = None,
    output: Output = "text",
    state_dir: StateDir = None,
) -> int:
    """Run one request through a filter, on the real host, and show what it did.

    Parameters
    ----------
    file
        The .wasm file, or builtin:NAME.
    request
        An HTTP/1.1 request as a file. Default: GET / of localhost.
    response
        What the upstream answers, as a file. Default: 200 and a short text.
    config
        The filter's configuration, or @FILE.
    backend
        A cluster the filter may choose; may be given again.
    callout
        A cluster the filter may call; calls are shown and fail.
    output
        json prints one document.
    state_dir
        Where compiled modules are kept.
    """
    from edge.cli.filter.call import Call, call_filter

    return call_filter(Call(file, request, response, config, backend or [], callout or [], output, state_dir))


@app.command
def version() -> int:
    """Print the version."""
    from edge import __version__

    print(f"edge {__version__}")
    return EXIT_OK


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    import edge.cli.verbs  # noqa: F401  (registers its commands)

    try:
        code = app(argv, exit_on_error=False, print_error=False)
        print(end="", flush=True)
    except CycloptsError as error:
        return _misused(error)
    except CannotKeepState as error:
        print(f"edge: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say, nor anybody to say it to.
        sys.stderr.close()
        return EXIT_FAILED
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        print(f"edge: cannot write: {os.strerror(error.errno).lower()}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of it would fail again at the end
        return EXIT_FAILED
    return code if isinstance(code, int) else EXIT_OK


def _misused(error: CycloptsError) -> int:
    chain = " ".join(error.command_chain or ())
    said = str(error).strip()
    if isinstance(error, UnusedCliTokensError):
        said = f"not understood: {' '.join(error.unused_tokens or [])}"
    print(f"edge: {said}", file=sys.stderr)
    help_of = f"`edge {chain} --help` shows its parameters" if chain else "`edge --help` lists the commands"
    print(f"edge: {help_of}", file=sys.stderr)
    return EXIT_USAGE
