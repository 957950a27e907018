"""``freshet keys create|list|revoke``: who may use the API where FRESHET_API_AUTH is ``keys``."""

from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.refusal import refuse
from freshet.settings import load_settings

keys_app = typer.Typer(no_args_is_help=True, help="API keys: make, list and revoke them.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(keys_app, name="keys")


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses the key.")],
    scope: Annotated[
        list[str], typer.Option(help="events:write, recommend:read, items:write or admin; repeat it for several.")
    ],
    rate: Annotated[float, typer.Option(help="Requests a second, and as many at once.", min=0.01)] = 100.0,
) -> None:
    """Make a key and print it, once: only what it is checked by is kept."""
    from serving.api_keys import SCOPES, SqliteApiKeys

    scopes = [known for known in SCOPES if known in scope]
    if unknown := sorted(set(scope) - set(SCOPES)):
        refuse(f"{unknown[0]!r} is no scope: choose from {', '.join(SCOPES)}")
    with closing(SqliteApiKeys(load_settings().keys_path)) as keys:
        _, text = keys.create(name, scopes, rate)
    print_plainly(text)


@keys_app.command("list")
def list_keys() -> None:
    """Every key ever made, without what it is sent as."""
    from serving.api_keys import SqliteApiKeys

    table = Table("key", "name", "scopes", "a second", "created", "revoked")
    with closing(SqliteApiKeys(load_settings().keys_path)) as keys:
        for key in keys.list():
            revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}"
            scopes = ", ".join(sorted(key.scopes))
            created = f"{key.created_at:%Y-%m-%d %H:%M}"
            table.add_row(key.key_id, escape(key.name), scopes, f"{key.requests_per_second:g}", created, revoked)
    Console().print(table)


@keys_app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="As `freshet keys list` shows it.")]) -> None:
    """Refuse a key from the next request on."""
    from serving.api_keys import SqliteApiKeys

    with closing(SqliteApiKeys(load_settings().keys_path)) as keys:
        if not keys.revoke(key_id):
            refuse(f"there is no key {key_id!r} to revoke: `freshet keys list` shows them")
    print_plainly(f"{key_id} is revoked")


def print_plainly(line: str) -> None:
    """One line that can be piped on."""
    Console().print(line, highlight=False, soft_wrap=True, markup=False)
