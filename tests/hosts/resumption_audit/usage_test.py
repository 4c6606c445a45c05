#!/usr/bin/env python3
"""The command line, and servers that are no such thing."""

import contextlib
import socket
import subprocess
import threading
import unittest

from fixture import GOOD, AuditTest, arguments_for, audit_program, folder, pki, run
from support import unused_port

NAMES = ("open.test", "ask.test")
NAME_ARGUMENTS = ("--name", "open.test", "--name", "ask.test")


class CommandLine(unittest.TestCase):
    def test_help(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        for text in ("servers that one runs oneself", "--connect", "--certificate", "Exit codes: 0 "):
            self.assertIn(text, result.stdout)
        self.assertLessEqual(max(map(len, result.stdout.splitlines())), 120)

    def test_a_bad_command_line_is_exit_code_2(self):
        for arguments in ([], ["--connect", "127.0.0.1:1"], ["--frobnicate"], [*NAME_ARGUMENTS],
                          ["--connect", "127.0.0.1:1", *NAME_ARGUMENTS, "loose"],
                          ["--connect", "127.0.0.1:1", *NAME_ARGUMENTS, "--timeout", "soon"]):
            with self.subTest(arguments):
                self.assertEqual(run(*arguments).returncode, 2)

    def test_a_mistake_is_named_with_its_place(self):
        (folder / "empty.pem").write_text("")
        header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
        encrypted = (pki / "good.key").read_text().replace("-----\n", "-----\n" + header, 1)
        (folder / "encrypted.key").write_text(encrypted)
        (folder / "good.pem").write_bytes((pki / "good.pem").read_bytes())
        good = pki / "good.pem"
        cases = [
            (["--connect", "127.0.0.1"], "--connect 127.0.0.1: must be HOST:PORT"),
            (["--connect", ":443"], "--connect :443: must be HOST:PORT"),
            (["--connect", "a:0"], "must be HOST:PORT, with a port from 1 to 65535"),
            (["--connect", "a:65536"], "must be HOST:PORT, with a port from 1 to 65535"),
            (["--connect", "a:44x"], "must be HOST:PORT, with a port from 1 to 65535"),
            (["--connect", "::1:443"], "an IPv6 address is [ADDRESS]:PORT"),
            (["--name", "a..b"], "--name a..b: is no server name"),
            (["--name", ""], "--name : is no server name"),
            (["--name", "*.test"], "is no server name"),
            (["--name", "a.test."], "is no server name"),
            (["--name", "a" * 254], "is no server name"),
            (["--name", "OPEN.test"], "--name OPEN.test: stands there twice"),
            ([x for i in range(15) for x in ("--name", f"{i}.test")], "--name: 2 to 16 server names are needed"),
            (["--certificate", "none.pem"], "--certificate none.pem: cannot be used: No such file or directory"),
            (["--certificate", folder / "empty.pem"], "empty.pem: cannot be used: no start line"),
            (["--certificate", good], "good.pem: the key in"),
            (["--certificate", f"{good}:none.key"], "the key in none.key cannot be used: No such file or directory"),
            (["--certificate", f"{good}:{pki}/root.key"], "root.key cannot be used: key values mismatch"),
            (["--certificate", f"{good}:{folder}/encrypted.key"], "encrypted.key cannot be used: "),
            (["--certificate", f"{good}:"], "must be FILE or FILE:KEYFILE"),
            (["--certificate", GOOD, "--certificate", f"{folder}/good.pem:{pki}/good.key"], "has the same name"),
            (["--certificate", GOOD] * 9, "--certificate: at most 8 can be given"),
            (["--tls", "1.1"], "--tls 1.1: must be 1.2 or 1.3"),
            (["--timeout", "0"], "--timeout 0: must be 1 to 60 seconds"),
            (["--timeout", "61"], "--timeout 61: must be 1 to 60 seconds"),
            (["--path", "index"], "--path index: must begin with /"),
            (["--path", "/a b"], "--path /a b: must begin with / and be up to 1024 visible ASCII characters"),
            (["--path", "/a\r\nX: y"], "must begin with /"),
            (["--path", "/" + "a" * 1024], "must begin with /"),
        ]
        for arguments, message in cases:
            with self.subTest(arguments):
                connect = [] if "--connect" in arguments else ["--connect", "127.0.0.1:1"]
                result = run(*connect, *NAME_ARGUMENTS, *arguments)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(message, result.stderr)
                self.assertEqual(result.stdout, "")

    def test_one_name_is_not_enough(self):
        result = run("--connect", "127.0.0.1:1", "--name", "open.test")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("2 to 16 server names are needed", result.stderr)


class NoServer(AuditTest):
    def test_nobody_there_is_exit_code_3(self):
        port = unused_port()
        for connect, message in ((f"127.0.0.1:{port}", f"no connection to 127.0.0.1 port {port}: Connection refused"),
                                 (f"nobody.invalid:{port}", "nobody.invalid cannot be found: ")):
            result = run("--connect", connect, *NAME_ARGUMENTS)
            self.assertEqual((result.returncode, result.stdout), (3, ""))
            self.assertIn(message, result.stderr)

    def test_a_full_disk_is_no_success(self):
        port = self.start_holey_server(open="open", ask="open")
        self.assertEqual(run(*arguments_for(port, NAMES)).returncode, 0)
        with open("/dev/full", "w") as full:
            result = subprocess.run([audit_program, *arguments_for(port, NAMES)], stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=60)
        self.assertEqual(result.returncode, 3)
        self.assertIn("the report cannot be written", result.stderr)

    @contextlib.contextmanager
    def server_that(self, answer):
        """The port of a server that calls answer(connection) with each connection."""
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        answer(connection)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    def check_no_handshake(self, answer, ending, outcome):
        with self.server_that(answer) as port:
            report = self.audit(port, NAMES, more=["--timeout", "1"])
        self.assertEqual(report.exit_code, 3)
        self.assertEqual({visit["ending"]["text"] for visit in report.json["new_clients"]}, {ending})
        self.assertEqual(report.outcomes(), {outcome})
        self.assertIn("None was resumed under its own name", report.json["summary"])

    def test_one_that_stalls(self):
        def answer(connection):
            while connection.recv(1 << 16):
                pass
        self.check_no_handshake(answer, "timed out", "timed_out")

    def test_one_that_does_not_speak_tls(self):
        def answer(connection):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.check_no_handshake(answer, "garbled", "garbled")

    def test_one_that_hangs_up(self):
        self.check_no_handshake(lambda connection: connection.recv(1 << 16), "closed", "no_session")

    def test_one_that_refuses_everybody(self):
        def answer(connection):
            connection.recv(1 << 16)
            connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        self.check_no_handshake(answer, "alert 40", "no_session")

    def test_one_that_stops_answering_is_not_waited_for_again_and_again(self):
        holey, connections = self.start_holey_server(open="open", ask="open"), []

        def forward(connection):
            connections.append(connection)
            if len(connections) > 20:
                while connection.recv(1 << 16):  # until the audit has had enough
                    pass
                return
            with socket.create_connection(("127.0.0.1", holey)) as onward:
                back = threading.Thread(target=pump, args=(onward, connection))
                back.start()
                pump(connection, onward)
                back.join()

        def pump(source, sink):
            with contextlib.suppress(OSError):
                while piece := source.recv(1 << 16):
                    sink.sendall(piece)
                sink.shutdown(socket.SHUT_WR)

        with self.server_that(forward) as port:
            report = self.audit(port, NAMES, GOOD, more=["--timeout", "1"])
        self.assertEqual(len(connections), 20 + 10)
        self.assertEqual(report.exit_code, 3)
        self.assertLessEqual({"own_name", "timed_out", "unreachable"}, report.outcomes())


if __name__ == "__main__":
    unittest.main()
