"""A dealer's choice between waiting for clients and crossing the bid-ask spread, after Barzykin, Bergault and Guéant.

- `demand` says how clients answer a quote, and `dealer` what the dealer faces.
- `quadratic` values inventories of any number of assets in closed form; `grid` values those of one asset numerically.
- `internalise` derives quotes, hedging rates and the zone in which crossing the bid-ask spread is not worth it.
"""
