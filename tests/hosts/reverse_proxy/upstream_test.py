#!/usr/bin/env python3
"""What upstreams do wrong, and bodies that do not fit into memory."""

import http.client
import select
import ssl
import threading
import unittest

from fixture import OK, ProxyTest
from support import TLS_1_2, client_context, read_head


class Upstreams(ProxyTest):
    def test_an_upstream_that_is_down_is_502(self):
        client = self.connect("down.test")
        for _ in range(2):
            self.assertEqual(client.get().status, 502)
            line = self.proxy.next_log()
            self.assertEqual((line["status"], line["upstream"]), (502, "down"))
            self.assertIn("refused", line["error"])

    def test_an_upstream_that_makes_no_sense_is_502(self):
        for answer in (b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 101 Switching\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
                       b"HTTP/1.1 100 Continue\r\n\r\n" * 100):
            with self.subTest(answer[:40]):
                def script(connection, reader):
                    read_head(reader)
                    connection.sendall(answer)
                self.script(script)
                self.assertEqual(self.connect("scripted.test").get().status, 502)

    def test_a_kept_connection_that_the_upstream_closes_costs_nobody_a_request(self):
        heads = []

        def script(connection, reader):
            heads.append(read_head(reader))
            connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
            if len(heads) == 1:  # closes when the next request has come: too late for the proxy to see it before
                read_head(reader)
        self.script(script)
        client = self.connect("scripted.test")
        self.assertEqual([client.get().status for _ in range(4)], [200] * 4)
        self.assertEqual(len(heads), 4)

    def test_a_request_that_may_have_changed_something_is_not_repeated(self):
        heads = []

        def script(connection, reader):
            while head := read_head(reader):
                heads.append(head)
                if len(heads) == 2:
                    return
                connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
        self.script(script)
        client = self.connect("scripted.test")
        self.assertEqual([client.request("POST").status for _ in range(3)], [200, 502, 200])
        self.assertEqual(len(heads), 3)

    def test_an_early_refusal_by_the_upstream_reaches_the_client(self):
        def script(connection, reader):
            read_head(reader)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.script(script)
        client = self.connect("scripted.test", client_context(TLS_1_2))
        client.socket.sendall(b"POST / HTTP/1.1\r\nHost: scripted.test\r\nContent-Length: 100000000\r\n\r\n")
        while not select.select([client.socket], [], [], 0)[0]:
            client.socket.sendall(b"x" * 10_000)
        self.assertIn(client.read_response().status, (413, 502))  # 502: the upstream's reset overtook its words

    def test_a_response_that_is_not_whole_is_cut_off(self):
        for answer in (b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
            with self.subTest(answer):
                def script(connection, reader):
                    read_head(reader)
                    connection.sendall(OK + answer)
                self.script(script)
                with self.assertRaises((ssl.SSLEOFError, ConnectionError)):
                    client = self.connect("scripted.test")
                    client.socket.suppress_ragged_eofs = False
                    client.get()
                self.assertIn("upstream: ", self.proxy.next_log()["error"])

    def test_large_bodies_go_through_in_pieces(self):
        size, piece = 64 << 20, b"x" * (1 << 20)

        def script(connection, reader):
            read_head(reader)
            left = size
            while left > 0:
                left -= len(reader.read(min(left, 1 << 20)))
            connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                connection.sendall(piece)
        self.script(script)
        client = self.connect("scripted.test")
        before = self.proxy.peak_memory()
        client.socket.sendall(b"POST / HTTP/1.1\r\nHost: scripted.test\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            client.socket.sendall(piece)
        response = http.client.HTTPResponse(client.socket)
        response.begin()
        received = 0
        while got := response.read(1 << 20):
            received += len(got)
        self.assertEqual(received, size)
        self.assertLess(self.proxy.peak_memory() - before, 16 << 20)

    def test_a_piece_is_passed_on_when_it_comes(self):
        go_on = threading.Event()

        def script(connection, reader):
            read_head(reader)
            connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            go_on.wait(20)
            connection.sendall(b"0\r\n\r\n")
        self.script(script)
        client = self.connect("scripted.test")
        client.http.request("GET", "/")
        response = client.http.getresponse()
        self.assertEqual(response.read(3), b"abc")
        go_on.set()
        self.assertEqual(response.read(), b"")


if __name__ == "__main__":
    unittest.main()
