"""dbt's `adapter` as far as sqlfluff must know it to render our macros: the implementation for DuckDB, or the default.

sqlfluff itself loads this file (see `.sqlfluff`); dbt never does.
"""

from collections.abc import Callable

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context


def dispatch(macro_name: str, macro_namespace: str) -> Callable[..., str]:
    """The macro of that name which dbt would choose on DuckDB."""

    @pass_context
    def implementation(context: Context, *arguments: object) -> str:
        chosen = context.resolve(f"duckdb__{macro_name}")
        if isinstance(chosen, Undefined):
            chosen = context.resolve(f"default__{macro_name}")
        rendered: str = chosen(*arguments)
        return rendered

    return implementation
