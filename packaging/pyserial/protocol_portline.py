"""The handler of ``portline://`` URLs, where pyserial looks for it; the code is Portline's."""

from portline.remote.blocking import Serial

__all__ = ["Serial"]
