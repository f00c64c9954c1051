"""The desk: who may do what, whether it is valid, and which command it becomes."""
