"""Certificates: a cluster's own authority, this node's certificate in use, and what is wrong with one."""
