#!/usr/bin/env python3
"""Time limits and the graceful stop."""

import signal
import socket
import threading
import unittest

from fixture import OK, ProxyTest, configuration, scripted, start
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
