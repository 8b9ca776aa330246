"""What can be asked of a running Portline: one table for every face that asks.

Each operation has a name, typed parameters, a typed result and a text; both types have JSON
schemas.  The socket (:mod:`portline.control.server`), the commands and the page are made from
:data:`portline.control.operations.table.OPERATIONS`; whatever else comes to ask should be, too.
"""
