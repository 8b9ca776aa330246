"""Composition: configuration becomes connections, and connections become a service.

A connection joins a ``local`` side (its port), a ``network`` side (how peers come to be), and a
``peer`` each who is there; a ``gateway`` has all of them, and ``process`` is what runs it.
"""
