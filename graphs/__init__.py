"""Tables of payments to a temporal graph: ingest, validation, lookups strictly before t, behaviour features.

Never imports torch or `gnn`.
"""
