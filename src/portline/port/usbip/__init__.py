"""Virtual ports that are true terminals of the kernel: a USB serial adapter made in software.

The kernel's virtual USB host controller (``vhci_hcd``) takes an adapter over a socket, in the
protocol USB/IP; its own drivers for USB serial adapters do the rest, as with a real one.
"""
