"""What sqlfluff must know of dbt to render our models as dbt would on DuckDB: the project's variables, which
implementation of a macro is chosen, and where tables lie. sqlfluff itself loads this package
(see `.sqlfluff`); dbt never does.
"""

from collections.abc import Callable
from types import SimpleNamespace

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from freshet.dbt_vars import dbt_vars

_VARS = dbt_vars()


def var(name: str) -> object:
    """One of the variables that every dbt invocation is given."""
    return _VARS[name]


def _dispatch(macro_name: str, macro_namespace: str) -> Callable[..., str]:
    @pass_context
    def implementation(context: Context, *arguments: object) -> str:
        chosen = context.resolve(f"duckdb__{macro_name}")
        if isinstance(chosen, Undefined):
            chosen = context.resolve(f"default__{macro_name}")
        rendered: str = chosen(*arguments)
        return rendered

    return implementation


adapter = SimpleNamespace(dispatch=_dispatch)
target = SimpleNamespace(schema="main")
