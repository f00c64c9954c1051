"""What the cluster agrees on, and the machinery that makes it agree."""
