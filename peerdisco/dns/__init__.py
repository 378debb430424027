"""The DNS client: messages, transports, and failover between name servers.

Sources and the testing kit may import it; it imports only values, names and errors. Begin with
`peerdisco.dns.resolver` and `peerdisco.dns.query`; `wire` reads messages, `evidence` judges them.
"""
