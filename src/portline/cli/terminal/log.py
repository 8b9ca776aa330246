"""What came from the port, in a file, byte for byte."""

from __future__ import annotations

from typing import IO

from portline.errors import PortlineError

__all__ = ["Log"]


class Log:
    """A file that what comes is added to, or none; ``path`` is "" then."""

    def __init__(self) -> None:
        self.path = ""
        self._fault = ""
        self._file: IO[bytes] | None = None
        self._size = 0

    def begin(self, path: str) -> None:
        """Add to a file from now on.  Raises PortlineError."""
        try:
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # until it is ended
        except (OSError, ValueError) as error:
            raise PortlineError(f"{path}: {getattr(error, 'strerror', error)}") from error
        self.path, self._size = path, 0

    def write(self, data: bytes) -> None:
        """Add data, where there is a file; a disk that is full ends it."""
        if self._file is None:
            return
        try:
            self._file.write(data)
        except OSError as error:
            path = self.path
            self.end()
            self._fault = f"{path}: {error.strerror}; the log has ended"
        else:
            self._size += len(data)

    def told(self) -> str:
        """Return why it has ended by itself, once; "" mostly."""
        fault, self._fault = self._fault, ""
        return fault

    def end(self) -> int:
        """Close the file; return how many bytes were added."""
        if self._file is not None:
            self._file.close()
        self._file, self.path = None, ""
        return self._size
