"""The network between nodes: handshake, sealed frames, messages."""
