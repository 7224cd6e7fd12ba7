"""A socket that a server of ours gets once all else is ready, so that a port in use is an error before."""

from __future__ import annotations

import socket

from lit_react.core.errors import UserError


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address, or a name of this machine.
        port: 0 takes a free one.
        option: that an error names.

    Raises:
        UserError: the port is taken, or the address is not this machine's.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(f"{option}: cannot listen at {host}, port {port}: {error.strerror or error}") from error
