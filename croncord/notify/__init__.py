"""Notices on their way out of the cluster, and the signs of life that outsiders watch."""
