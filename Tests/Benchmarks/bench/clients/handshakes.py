"""Makes N connections, one after the other: a handshake, one request, the end.

The request is there because some servers end their part of a handshake (the verification of the
caller, the ticket) only with the first answer. With --resume each connection uses the ticket of one
made before; the program fails if the server does not take it.
"""

import secure


def shake(given, tls, session=None):
    connection = secure.connect(given, tls, session=session)
    if session is not None and not connection.session_reused:
        raise SystemExit("the server did not resume")
    secure.ask(given, connection)
    connection.close()


def ticket(given, tls):
    """The session after one answered request, by when the server's ticket has come."""
    connection = secure.connect(given, tls)
    secure.ask(given, connection)
    session = connection.session
    connection.close()
    if not session.has_ticket:
        raise SystemExit("the server gives no ticket")
    return session


def main():
    parser = secure.arguments(__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    tls = secure.context(given)
    session = ticket(given, tls) if given.resume else None
    for _ in range(given.count):
        shake(given, tls, session)
    secure.end(0)


main()
