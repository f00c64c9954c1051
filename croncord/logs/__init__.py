"""What runs printed, and the ledger of runs: LMDB stores on every node."""
