"""`betapack what-if`: the figures of a book with a hypothetical trade, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.answers import WhatIf
from schemas.outbound import HedgeTrade, ResidualExposure
from stream.cli.client import ask
from stream.errors import ConfigError


def ask_what_if(url: str, book: str, trades: Sequence[str], lots: Sequence[str]) -> WhatIf:
    """The answer for `book` with ``ASSET=UNITS`` of `trades` and ``INSTRUMENT=LOTS`` of `lots`. Raises as `ask`."""
    query = [("book", book), *_pairs("--trade", "ASSET=UNITS as EUR=5e6", trades)]
    for instrument, count in _pairs("--lots", "INSTRUMENT=LOTS as EURUSD=-3", lots):
        query += [("instrument", instrument), ("lots", count)]
    return ask(url, "/what-if", query, WhatIf)


def text(answer: WhatIf) -> str:
    """A small table: exposure and residual by asset, risks against the limit, packing, suggestion and quote skew."""
    residual, suggestion, quote = answer.residual, answer.suggestion, answer.quote
    money = residual.numeraire
    over = f"risk over {residual.horizon_steps} timesteps" if residual.limit_on == "horizon" else "risk"
    packed = ", ".join(f"{each.multiples:+d} x {each.beta_id}" for each in residual.packed) or "nothing"
    traded = ", ".join(f"{units:+,.0f} {asset}" for asset, units in answer.trade.items()) or "nothing"
    lines = [f"{answer.book} with {traded} more, timestep {residual.timestep}, in {money}"]
    lines += [f"{'asset':8}{'exposure':>18}{'residual':>18}"]
    lines += [f"{each.asset:8}{each.exposure:>18,.0f}{each.residual:>18,.0f}" for each in residual.positions]
    lines += [
        f"{'unhedged ' + over:30}{residual.limit_risk:>14,.0f}  {_share_of_limit(residual)}",
        f"{'of it, of what is packed':30}{_of_limit(answer, 'basis_risk'):>14,.0f}",
        f"{'netted ' + over:30}{_of_limit(answer, 'netted_risk'):>14,.0f}",
        f"{'packed':30}{packed}",
        f"{'packing':30}" + ("proven best" if residual.proven else f"within {residual.gap or 0:.3g} of the best"),
    ]
    if residual.status != "ok":
        lines.insert(1, f"{residual.status}: {residual.detail}")
    if residual.incomplete:
        lines.append(f"{'suggestion':30}nothing: positions may be missing")
    elif suggestion is None:
        lines.append(f"{'suggestion':30}nothing: inside the limit")
    else:
        lines.append(f"{'suggestion':30}{orders(suggestion.trades)}")
        lines.append(f"{'':30}risk {suggestion.risk_after:,.0f} for {suggestion.expected_cost:,.2f}")
    if quote is not None:
        skews = ", ".join(f"{each.instrument} {each.skew_bps:+.3g}" for each in quote.instruments)
        lines.append(f"{'quote skew, bp':30}{skews or quote.detail}")
    return "\n".join(lines)


def orders(trades: Iterable[HedgeTrade]) -> str:
    """The trades in one line."""
    parts = [
        f"{trade.side} {trade.lots} {trade.instrument}{'@' + trade.venue if trade.venue else ''}" for trade in trades
    ]
    return ", ".join(parts) or "nothing"


def _share_of_limit(residual: ResidualExposure) -> str:
    share = "unknown share" if residual.limit_share is None else f"{residual.limit_share:.0%}"
    return f"{share} of {residual.limit:,.0f}"


def _of_limit(answer: WhatIf, name: str) -> float:
    prefix = "horizon_" if answer.residual.limit_on == "horizon" else ""
    value: float = getattr(answer.residual, prefix + name)
    return value


def _pairs(flag: str, expected: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{flag} must be {expected}, got {text!r}")
        pairs.append((name, value))
    return pairs
