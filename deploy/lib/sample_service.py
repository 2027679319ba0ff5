"""A small service for the demo: answers JSON, and may call one other service through its sidecar.

    sample_service.py --name web --listen-fd 3 [--calls orders --outbound 127.0.0.1:15001]
                      [--instance web-b] [--fails 50]

It knows nothing of the mesh but the address of its own sidecar: it asks for http://orders/ there,
and hands the trace fields on. With --fails it answers so many of a hundred requests with 500, as a
bad version does; SIGUSR1 breaks it, so that all get 500, and repairs it again.
"""

import argparse
import http.client
import http.server
import json
import os
import signal
import socket
import sys
import threading

HANDED_ON = ("traceparent", "tracestate", "baggage", "x-request-id")


class Upstream:
    """The service we call, over one kept-alive connection per thread."""

    def __init__(self, name, outbound):
        self._name = name
        self._host, port = outbound.rsplit(":", 1)
        self._port = int(port)
        self._own = threading.local()

    def call(self, path, headers):
        """(status, decoded answer)"""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=10)
            self._own.connection = connection
        try:
            connection.request("GET", path, headers={**headers, "Host": self._name})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            self._own.connection = None
            return 502, {"error": f"{self._name}: {error!r}"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment per answer, not one per line

    def do_GET(self):
        status, answer = 200, {"service": self.server.name, "instance": self.server.instance}
        if self.server.fails():
            status = 500
        elif self.server.upstream:
            headers = {name: self.headers[name] for name in HANDED_ON if name in self.headers}
            status, answer["called"] = self.server.upstream.call(self.path, headers)
            status = 200 if status == 200 else 502
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format, *arguments):
        """Silence: the sidecar's access log is the record."""


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name, instance, descriptor, upstream, failing_percent):
        self.name, self.instance, self.upstream = name, instance, upstream
        self._failing_percent, self._is_broken = failing_percent, False
        self._turns, self._lock = 0, threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=descriptor)

    def toggle(self, *_):
        """Breaks what works and repairs what is broken; says so on standard error."""
        self._is_broken = not self._is_broken
        message = "broken" if self._is_broken else "repaired"
        os.write(2, json.dumps({"message": message}).encode() + b"\n")

    def fails(self):
        """Whether this request is to fail; evenly, so that any hundred have their part."""
        with self._lock:
            self._turns += 1
            before, now = ((self._turns - ago) * self._failing_percent // 100 for ago in (1, 0))
        return self._is_broken or now > before

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):  # a sidecar may drop an idle connection
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--instance")
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--fails", type=int, default=0)
    parser.add_argument("--calls")
    parser.add_argument("--outbound")
    options = parser.parse_args()
    upstream = Upstream(options.calls, options.outbound) if options.calls else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    service = Service(
        options.name, options.instance or options.name, options.listen_fd, upstream, options.fails)
    signal.signal(signal.SIGUSR1, service.toggle)
    service.serve_forever()


if __name__ == "__main__":
    main()
