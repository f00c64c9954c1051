"""What a machine does: decide what is due (on the leader), start scripts, end them, report."""
