"""DNS as a client of a cluster needs it: messages, transports, and servers asked in turn."""
