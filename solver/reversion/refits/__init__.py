"""From a sliding window of log prices to accepted β vectors that keep their identity over refits."""
