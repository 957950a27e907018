"""The books of the lake as one page that needs nothing else: no script, no network."""

from collections.abc import Sequence
from html import escape

from ingestion.balance import Account
from ingestion.lake import RecordCounts

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem }
th, td { padding: .35rem .75rem; border-bottom: 1px solid #d5dce3; text-align: left; vertical-align: top }
th { font-weight: 600; background: #f2f5f8 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.bar { display: flex; height: .6rem; width: 12rem; background: #eee; margin-top: .5rem }
.accepted { background: #2f7d4f } .duplicates { background: #c9a227 } .rejected { background: #b3382c }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem }
"""


def data_page(accounts: Sequence[Account]) -> str:
    """What landed and what became of it, with the reasons of what was rejected."""
    parts = [_row(account, part) for account in accounts for part in account.records if part.n_landed]
    rows = "".join(parts) or '<tr><td colspan="8">nothing has landed yet</td></tr>'
    reasons = "".join(_reasons(account) for account in accounts if account.reasons)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>What landed</title><style>{_STYLE}</style></head><body>\n'
        "<h1>What landed, and what became of it</h1>\n"
        "<p>landed = accepted + duplicates + rejected, for every source. Nothing that arrives is lost: what cannot be "
        "used is kept with its reason, and counts again once it is mended.</p>\n"
        '<p class="key"><span class="accepted"></span>accepted<span class="duplicates"></span>duplicates'
        '<span class="rejected"></span>rejected</p>\n'
        "<table><thead><tr><th>source</th><th>record</th><th>until</th>"
        + "".join(f'<th class="number">{name}</th>' for name in ("landed", "accepted", "duplicates", "rejected"))
        + f"<th>share</th></tr></thead><tbody>{rows}</tbody></table>\n{reasons}</body></html>\n"
    )


def _row(account: Account, part: RecordCounts) -> str:
    numbers = (part.n_landed, part.n_accepted, part.n_duplicate, part.n_rejected)
    until = account.interval_end.strftime("%Y-%m-%d %H:%M UTC") if account.interval_end else "now"
    cells = "".join(f'<td class="number">{number:,}</td>' for number in numbers)
    name = escape(account.ingestion_id or account.source)
    return f"<tr><td>{name}</td><td>{part.record_type}</td><td>{until}</td>{cells}<td>{_bar(part)}</td></tr>\n"


def _bar(part: RecordCounts) -> str:
    parts = (("accepted", part.n_accepted), ("duplicates", part.n_duplicate), ("rejected", part.n_rejected))
    spans = "".join(
        f'<span class="{name}" style="width:{100 * number / part.n_landed:.2f}%" title="{name}: {number:,}"></span>'
        for name, number in parts
    )
    return f'<div class="bar">{spans}</div>'


def _reasons(account: Account) -> str:
    rows = "".join(
        f'<tr><td class="number">{n_rows:,}</td><td>{escape(reason)}</td></tr>\n'
        for reason, n_rows in account.reasons.items()
    )
    name = escape(account.ingestion_id or account.source)
    return (
        f"<h2>Why rows of {name} were rejected</h2>\n"
        f'<table><thead><tr><th class="number">rows</th><th>reason</th></tr></thead><tbody>{rows}</tbody></table>\n'
    )
