"""What the tests of the programs in examples/ share: certificates, a program under test, upstreams, TLS clients."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 20  # for something that must come; nothing is measured with it
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH_VERSIONS = (TLS_1_2, TLS_1_3)


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not (result := condition()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.01)
    return result


def make_pki(folder, *server_names):
    subprocess.run([HERE.parents[1] / "scripts" / "throwaway-pki", folder, *server_names], check=True)


def certificates_of(pem_file):
    """The DER of each certificate of a PEM file, in base64."""
    blocks = pathlib.Path(pem_file).read_text().split("-----BEGIN CERTIFICATE-----")[1:]
    return [block.split("-----END")[0].replace("\n", "") for block in blocks]


def client_context(version=None, certificate=None, alpn=None):
    """A client's SSLContext; a session resumes in the context that it was made in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if certificate:
        context.load_cert_chain(certificate, pathlib.Path(certificate).with_suffix(".key"))
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Client:
    """One TLS connection; what is sent on it is written by hand or with http.client."""

    def __init__(self, port, server_name, context=None, session=None):
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        try:
            context = context or client_context()
            self.socket = context.wrap_socket(plain, server_hostname=server_name, session=session)
        except BaseException:
            plain.close()
            raise
        self.server_name = server_name
        self.http = http.client.HTTPConnection(server_name)
        self.http.sock = self.socket

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def get(self, target="/", **headers):
        return self.request("GET", target, headers=headers)

    def request(self, method, target="/", body=None, headers=None, **options):
        self.http.request(method, target, body, headers or {}, **options)
        response = self.http.getresponse()
        response.content = response.read()
        return response

    def raw(self, request, method="GET"):
        """Sends bytes; the response to them. A "^" stands for the Host field."""
        self.socket.sendall(request.replace("^", f"Host: {self.server_name}").encode("latin-1"))
        return self.read_response(method)

    def read_response(self, method="GET"):
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        response.content = response.read()
        return response

    def is_closed(self):
        """Waits for the other side to close; whether it did so with a close_notify or a FIN, without a word more."""
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True


class Clock:
    """The time that a program's OpenSSL sees (simulated_clock.cpp): nobody waits for it to pass."""

    def __init__(self, library, file):
        self._file, self._offset = pathlib.Path(file), 0
        self.environment = {"LD_PRELOAD": str(library), "CLIENT_TLS_CLOCK": str(file)}
        self.advance(0)

    def advance(self, seconds):
        self._offset += seconds
        new = self._file.with_suffix(".new")
        new.write_text(str(self._offset))
        new.replace(self._file)


class Failures:
    """Calls of a program to OpenSSL that fail (failing_calls.cpp)."""

    def __init__(self, library, file):
        self._file = pathlib.Path(file)
        self._file.write_text("")
        self.environment = {"LD_PRELOAD": str(library), "CLIENT_TLS_FAILING": str(file)}

    @contextlib.contextmanager
    def of(self, call):
        self._file.write_text(call)
        yield
        self._file.write_text("")


class Program:
    """A program under test, with its log in a file; preloaded: a Clock, or Failures."""

    def __init__(self, command, log, ready="ready", preloaded=None):
        self.log_file, self._read = pathlib.Path(log), 0
        self.errors = []
        environment = {**os.environ, **(preloaded.environment if preloaded else {})}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        wait_until(lambda: ready in self.errors or self.process.poll() is not None, "the program did not start")
        if self.process.poll() is not None:
            self._reader.join()
            raise RuntimeError("\n".join(self.errors))

    def _collect(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def next_log(self, count=1):
        """The next lines of the log, when they are there."""
        def lines():
            text = self.log_file.read_text() if self.log_file.exists() else ""
            return text.splitlines()[self._read:] if text.endswith("\n") else []
        found = wait_until(lambda: len(found := lines()) >= count and found[:count], "no such line in the log")
        self._read += count
        return [json.loads(line) for line in found] if count > 1 else json.loads(found[0])

    def reload(self):
        """What it says after a SIGHUP."""
        before = len(self.errors)
        self.process.send_signal(signal.SIGHUP)
        said = ("reloaded", "not reloaded")
        return wait_until(lambda: next((line for line in self.errors[before:] if line.startswith(said)), None),
                          "no word after SIGHUP")

    def peak_memory(self):
        """The most memory that it ever had, in bytes."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmHWM")

    def stop(self):
        """Its exit code, after a SIGTERM."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def wait(self):
        """Its exit code, when it ends."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._reader.join()
            self.process.stderr.close()


class ScriptedUpstream:
    """An upstream that does what the test says: script(connection, reader) is called with each connection."""

    def __init__(self):
        self.script = None
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(ConnectionError):
                    outer.script(self.connection, self.rfile)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def read_head(reader):
    """The lines of a request's head."""
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    return lines


@contextlib.contextmanager
def echo_upstream():
    """The port of echo_upstream.py, running."""
    with subprocess.Popen([sys.executable, HERE / "echo_upstream.py"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline().split()[1])
        finally:
            process.kill()


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


temporary_folder = tempfile.TemporaryDirectory
