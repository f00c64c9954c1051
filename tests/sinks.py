"""Real servers that notices are sent to: HTTP and SMTP, on loopback, each in a thread of its own."""

import base64
import json
import socketserver
import ssl
import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HttpSink:
    """Keeps what is posted; answers with `status`, or as `answer` says."""

    def __init__(self):
        self.status = 200
        self.body = b"ok"
        self.headers = {}
        self.requests = []
        """(method, path, headers, body) of each."""
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/very-secret-path"

    def events(self):
        return [json.loads(body)["event"] for method, _, _, body in self.requests if body]

    def payloads(self):
        return [json.loads(body) for _, _, _, body in self.requests if body]


@contextmanager
def http_sink(*, port=0):
    """Serve an HTTP sink."""
    sink = HttpSink()

    class Handler(BaseHTTPRequestHandler):
        def _take(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sink.requests.append((self.command, self.path, dict(self.headers), body))
            self.send_response(sink.status)
            for name, value in sink.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sink.body)))
            self.end_headers()
            self.wfile.write(sink.body)

        do_GET = do_POST = _take  # noqa: N815  # names that the library looks for

        def log_message(self, *_):
            pass

    sink.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    with _serving(sink.server):
        yield sink


class SmtpSink:
    """Keeps the mails that it is given: (sender, receivers, message)."""

    def __init__(self):
        self.mails = []
        self.logins = []
        self.refuse = ""
        """What to answer to every receiver, such as `550 no such user`."""
        self.tls = None
        self.was_encrypted = []
        self.server = None

    @property
    def port(self):
        return self.server.server_address[1]


class _SmtpSession(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.encrypted = False
        self.say("220 sink")
        self.sender, self.to = "", []
        while line := self.rfile.readline():
            words = line.decode().strip()
            verb = words.split(" ")[0].upper()
            if verb == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{verb.lower()}", self.on_other)(words)

    def on_ehlo(self, _words):
        self.say("250-sink")
        if self.server.sink.tls is not None and not self.encrypted:
            self.say("250-STARTTLS")
        self.say("250 AUTH PLAIN")

    def on_starttls(self, _words):
        self.say("220 go on")
        self.request = self.server.sink.tls.wrap_socket(self.request, server_side=True)
        self.rfile = self.request.makefile("rb", -1)
        self.wfile = self.request.makefile("wb", 0)
        self.encrypted = True

    def on_auth(self, words):
        _, user, password = base64.b64decode(words.split(" ")[2]).decode().split("\0")
        self.server.sink.logins.append((user, password))
        self.say("235 welcome")

    def on_mail(self, words):
        self.sender = words[len("MAIL FROM:") :].split(" ")[0].strip("<>")
        self.to = []
        self.say("250 ok")

    def on_rcpt(self, words):
        if self.server.sink.refuse:
            self.say(self.server.sink.refuse)
            return
        self.to.append(words[len("RCPT TO:") :].strip("<>"))
        self.say("250 ok")

    def on_data(self, _words):
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.server.sink.mails.append((self.sender, self.to, message))
        self.server.sink.was_encrypted.append(self.encrypted)
        self.say("250 taken")

    def on_other(self, _words):
        self.say("250 ok")

    def finish(self):
        for file in (self.rfile, self.wfile, self.request):
            file.close()


@contextmanager
def smtp_sink(*, tls=None):
    """Serve an SMTP sink, which offers STARTTLS when a context is given."""
    sink = SmtpSink()
    sink.tls = tls

    sink.server = _QuietServer(("127.0.0.1", 0), _SmtpSession)
    sink.server.sink = sink
    with _serving(sink.server):
        yield sink


class _QuietServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, _request, _address):
        """Say nothing: clients that do not trust the certificate hang up."""


@contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def server_tls(certificate, key):
    """Return a context for a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
