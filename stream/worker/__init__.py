"""The running service: loop and commit, snapshot and recovery, the process that runs refits."""
