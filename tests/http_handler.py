"""What stands in for somebody else's server: a handler for the `listen` fixture, silent, with the usual two moves."""

import json
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    """Derive from it, and answer in ``do_GET`` and ``do_POST``."""

    def body(self):
        """The bytes that were posted."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status, body=None):
        """A status, with an object as JSON where there is one."""
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
