#!/usr/bin/env python3
"""Time limits, exceptions, and the graceful stop."""

import signal
import socket
import ssl
import threading
import time
import unittest

from fixture import OK, ProxyTest, configuration, make_failures, scripted, start
from support import Client, read_head, wait_until


class TimeLimits(ProxyTest):
    time_limits = {"handshake_s": 1, "header_s": 1, "idle_s": 1, "body_s": 1, "upstream_s": 1}

    def test_a_slow_upstream_is_504(self):
        self.script(lambda connection, reader: reader.read())
        client = self.connect("scripted.test")
        self.assertEqual(client.get().status, 504)
        self.assertEqual(client.get().status, 504)

    def test_slow_clients_are_let_go(self):
        with socket.create_connection(("127.0.0.1", self.proxy.port), timeout=20) as silent:
            self.assertEqual(silent.recv(1), b"")
        self.assertIn("handshake: ", self.proxy.next_log()["error"])
        for sent in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5\r\n\r\nhe"):
            with self.subTest(sent):
                client = self.connect()
                client.socket.sendall(sent)
                self.assertTrue(client.is_closed())
                if sent:
                    line = self.proxy.next_log()
                    self.assertEqual(line["status"], None)
                    self.assertIn("request: ", line["error"])

    def test_a_response_that_stops_coming_is_cut_off(self):
        done = threading.Event()

        def script(connection, reader):
            read_head(reader)
            connection.sendall(OK + b"Content-Length: 2\r\n\r\nh")
            done.wait(20)
        self.script(script)
        client = self.connect("scripted.test")
        client.socket.suppress_ragged_eofs = False
        with self.assertRaises((ssl.SSLEOFError, ConnectionError)):
            client.get()
        self.assertTrue(self.proxy.next_log()["error"].startswith("upstream: "))
        done.set()

    def test_a_client_that_does_not_read_is_let_go(self):
        def script(connection, reader):
            read_head(reader)
            connection.sendall(OK + b"Content-Length: 100000000\r\n\r\n" + b"x" * 100_000_000)
        self.script(script)
        client = self.connect("scripted.test")
        client.http.request("GET", "/")
        line = self.proxy.next_log()
        self.assertTrue(line["error"].startswith("response: "), line)
        self.assertLess(line["bytes_sent"], 100_000_000)

    def test_a_body_has_its_time_for_each_piece(self):
        def script(connection, reader):
            read_head(reader)
            body = reader.read(4)
            connection.sendall(OK + b"Content-Length: 4\r\n\r\n")
            for byte in body:
                time.sleep(0.6)
                connection.sendall(bytes([byte]))
        self.script(script)
        client = self.connect("scripted.test")
        client.socket.sendall(b"POST / HTTP/1.1\r\nHost: scripted.test\r\nContent-Length: 4\r\n\r\n")
        for byte in b"body":
            time.sleep(0.6)
            client.socket.sendall(bytes([byte]))
        self.assertEqual(client.read_response().content, b"body")


class Exceptions(unittest.TestCase):
    def test_an_exception_ends_its_own_connection_and_no_other(self):
        failures = make_failures()
        proxy = start(configuration(), preloaded=failures)
        self.addCleanup(lambda: self.assertEqual(proxy.stop(), 0, proxy.errors))
        with Client(proxy.port, "open.test") as before:
            self.assertEqual(before.get().status, 200)
            for call, said in (("SSL_new", "a connection could not be accepted: "),
                               ("SSL_set_ex_data", "a connection was ended: ")):
                for _ in range(2):
                    with self.subTest(call):
                        errors = len(proxy.errors)
                        with failures.of(call), self.assertRaises((ssl.SSLError, ConnectionError)):
                            Client(proxy.port, "open.test")
                        wait_until(lambda: len(proxy.errors) > errors, "the exception is not reported")
                        self.assertTrue(proxy.errors[errors].startswith(said), proxy.errors)
                        with Client(proxy.port, "open.test") as after:
                            self.assertEqual(after.get().status, 200)
                        self.assertEqual(before.get().status, 200)


class Stopping(unittest.TestCase):
    def start(self, **limits):
        proxy = start(configuration(**limits))
        self.addCleanup(lambda: proxy.process.poll() is None and proxy.stop())
        return proxy

    def test_idle_connections_are_closed_at_once(self):
        for stop in (signal.SIGTERM, signal.SIGINT):
            proxy = self.start(shutdown_s=1000)
            with Client(proxy.port, "open.test") as used, Client(proxy.port, "open.test") as unused:
                used.get()
                proxy.process.send_signal(stop)
                self.assertTrue(used.is_closed())
                self.assertTrue(unused.is_closed())
            self.assertEqual(proxy.wait(), 0)

    def test_a_running_request_ends_first(self):
        proxy = self.start(shutdown_s=1000)
        asked, answer = threading.Event(), threading.Event()

        def script(connection, reader):
            read_head(reader)
            asked.set()
            answer.wait(20)
            connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")
        scripted.script = script
        with Client(proxy.port, "scripted.test") as client:
            client.http.request("GET", "/")
            asked.wait(20)
            proxy.process.terminate()
            wait_until(lambda: "stopping" in proxy.errors, "the proxy does not stop")
            with self.assertRaises(OSError):
                Client(proxy.port, "open.test")
            answer.set()
            response = client.http.getresponse()
            self.assertEqual((response.read(), response.getheader("Connection")), (b"hi", "close"))
        self.assertEqual(proxy.wait(), 0)
        self.assertEqual(proxy.next_log()["status"], 200)

    def test_a_request_that_does_not_end_is_cut_off(self):
        asked = threading.Event()

        def script(_, reader):
            read_head(reader)
            asked.set()
            reader.read()
        scripted.script = script
        for second_signal in (False, True):
            with self.subTest(second_signal=second_signal):
                asked.clear()
                proxy = self.start(shutdown_s=1000 if second_signal else 1, upstream_s=1000)
                with Client(proxy.port, "scripted.test") as client:
                    client.http.request("GET", "/")
                    asked.wait(20)
                    proxy.process.terminate()
                    wait_until(lambda: "stopping" in proxy.errors, "the proxy does not stop")
                    if second_signal:
                        proxy.process.terminate()
                    self.assertTrue(client.is_closed())
                self.assertEqual(proxy.wait(), 0)


if __name__ == "__main__":
    unittest.main()
