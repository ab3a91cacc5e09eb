"""The running service: loop and commit, snapshot and recovery, the process of the refits."""
