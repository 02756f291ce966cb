"""A web server on loopback for a test: its handler says what it answers, its fields what it remembers."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Quiet(BaseHTTPRequestHandler):
    """A handler whose log nobody reads. `self.server` is the WebServer, with the fields it was given."""

    def log_message(self, *_):
        pass

    def sent(self):
        """The body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status=200, data=b"", **headers):
        """A whole answer; `Content_Type=` becomes Content-Type."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **{n.replace("_", "-"): v for n, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class WebServer(ThreadingHTTPServer):
    """Answers until `close`, which also sets `release`: what a handler that hangs may wait for. `fields` are its own."""

    daemon_threads = True

    def __init__(self, handler, context=None, host="127.0.0.1", **fields):
        super().__init__(("127.0.0.1", 0), handler)
        self.release = threading.Event()
        vars(self).update(fields)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        self.url = f"{'https' if context else 'http'}://{host}:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.release.set()
        self.shutdown()
        self.server_close()
