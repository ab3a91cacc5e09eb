"""A dealer's choice between waiting for clients and crossing the spread, after Barzykin, Bergault and Guéant.

`demand` says how clients answer a quote, `dealer` what the dealer faces. `quadratic` values inventories of any number
of assets in closed form, `grid` those of one asset numerically. `internalise` reads quotes, hedging rates and the zone
in which crossing the spread is not worth it off that value.
"""
