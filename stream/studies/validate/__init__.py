"""Walk-forward validation over a price file: is the risk as forecast, and do the β vectors hold?"""
