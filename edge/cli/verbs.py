"""Commands about configurations and running edges. What a command does is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from edge.cli.admin_client import DEFAULT_ADDRESS as ADMIN
from edge.cli.app import Output, StateDir, app

Admin = Annotated[str, Parameter(name="--admin")]


@app.command
def proxy(
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: Annotated[list[str], Parameter(name="--to")],
    filter_: Annotated[list[str] | None, Parameter(name="--filter")] = None,
    admin: Admin = ADMIN,
    workers: int = 1,
    state_dir: StateDir = None,
    grace: str = "10s",
) -> int:
    """Serve without a file: from one address to others, through filters.

    Parameters
    ----------
    from_
        Where to listen: :8080, 127.0.0.1:8080, https://:8443 (TLS by a local authority, HTTP/1 to 3).
    to
        Where to send requests: localhost:3000, https://shop.example; may be given again.
    filter_
        FILE.wasm or builtin:NAME, with =CONFIG or =@FILE behind it if it wants one; may be given again.
    admin
        Where the admin API listens.
    workers
        How many processes serve; 0 = one for each CPU.
    state_dir
        Where compiled modules and the written configuration are kept.
    grace
        How long running requests may take to finish after the first signal.
    """
    from edge.cli.proxy import Wanted, run_proxy

    return run_proxy(Wanted(from_, to, filter_ or [], admin, workers, state_dir, grace))


@app.command
def status(*, admin: Admin = ADMIN, output: Output = "text") -> int:
    """Show how a running edge is: revision, workers, the last reload.

    Parameters
    ----------
    admin
        Its admin address.
    output
        json prints one document.
    """
    from edge.cli.status import show_status

    return show_status(admin, output)


@app.command
def explain(
    method: str,
    url: str,
    /,
    *,
    config: Annotated[Path, Parameter(name=["--config", "-c"])],
    header: Annotated[list[str] | None, Parameter(name=["--header", "-H"])] = None,
    listener: str = "",
    output: Output = "text",
) -> int:
    """Show which rule takes a request, why the others lost, its filters and backends. Sends nothing.

    Parameters
    ----------
    method
        GET, POST, ...
    url
        https://shop.example/path?query
    config
        The YAML file.
    header
        'name: value'; may be given again.
    listener
        By name. Default: the one that fits scheme and port of the URL.
    output
        json prints one document.
    """
    from edge.cli.explain import Asked, explain_request

    return explain_request(Asked(method, url, header or [], config, listener, output))


@app.command
def diff(file: Path, other: Path | None = None, /, *, admin: Admin = ADMIN, output: Output = "text") -> int:
    """Show what FILE would change in a running edge, or OTHER in FILE. Exit code 4 = differences.

    Parameters
    ----------
    file
        The YAML file.
    other
        A second file; then no edge is asked.
    admin
        The admin address of the running edge.
    output
        json prints one document.
    """
    from edge.cli.diff import diff_files

    return diff_files(file, other, admin, output)


@app.command
def fmt(file: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, check: bool = False) -> int:
    """Write a configuration in one layout; order and comments stay.

    Parameters
    ----------
    file
        The YAML file, or - to go from stdin to stdout.
    check
        Change nothing; show the difference and end with exit code 4.
    """
    from edge.cli.fmt import format_file

    return format_file(file, check)


@app.command
def schema() -> int:
    """Print the configuration's JSON Schema, for editors."""
    from edge.cli.schema import print_schema

    return print_schema()


@app.command
def doctor(
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    state_dir: StateDir = None,
    output: Output = "text",
) -> int:
    """Examine this machine: versions, limits, kernel features, state directory, clock.

    Parameters
    ----------
    config
        A YAML file to examine too: its addresses and certificates.
    state_dir
        Where compiled modules are kept.
    output
        json prints one document.
    """
    from edge.cli.doctor import examine

    return examine(str(config) if config else None, state_dir, output)


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a completion script: source it, or put it where the shell looks for them.

    Parameters
    ----------
    shell
        Whose.
    """
    print(app.generate_completion(shell=shell))
    return 0
