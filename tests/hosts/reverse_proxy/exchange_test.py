#!/usr/bin/env python3
"""Requests, their framing, and responses."""

import json
import threading
import unittest

from fixture import OK, ProxyTest, fields_of, pki
from support import Client, client_context, read_head


class Messages(ProxyTest):
    def test_connections_are_kept_on_both_sides(self):
        connections = []

        def script(connection, reader):
            connections.append(connection)
            while head := read_head(reader):
                connection.sendall(OK + b"Content-Length: 1\r\n\r\n" + head[0].split()[1][1:].encode())
        self.script(script)
        client = self.connect("scripted.test")
        self.assertEqual([client.get(f"/{i}").content for i in range(5)], [b"0", b"1", b"2", b"3", b"4"])
        self.assertEqual(len(connections), 1)
        response = client.raw("GET /5 HTTP/1.1\r\n^\r\nConnection: close\r\n\r\n")
        self.assertEqual((response.content, response.getheader("Connection")), (b"5", "close"))
        self.assertTrue(client.is_closed())

    def test_requests_sent_at_once_are_answered_in_order(self):
        client = self.connect()
        one = "GET /{} HTTP/1.1\r\nHost: open.test\r\n\r\n"
        client.socket.sendall("".join(one.format(i) for i in range(3)).encode())
        for i in range(3):
            self.assertEqual(json.loads(client.read_response().content)["target"], f"/{i}")

    def test_bodies_of_requests(self):
        client = self.connect()
        for body, options in ((b"", {}), (b"x", {}), (b"x" * 200_000, {}), (iter([b"a" * 100_000, b"b"]), {}),
                              (iter([]), {"encode_chunked": True})):
            size = len(body) if isinstance(body, bytes) else None
            response = client.request("POST", "/p", body, **options)
            got = json.loads(response.content)
            self.assertEqual((response.status, got["method"], got["target"]), (200, "POST", "/p"))
            if size is not None:
                self.assertEqual(got["body_size"], size)
        response = client.raw("POST / HTTP/1.1\r\n^\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3;x=y\r\nabc\r\n0\r\nClient-Cert: :Zm9yZ2Vk:\r\n\r\n")
        self.assertEqual(json.loads(response.content)["body_size"], 3)
        self.assertNotIn(b"Zm9yZ2Vk", response.content)
        self.assertEqual(client.get().status, 200)

    def test_expected_100_continue(self):
        client = self.connect()
        client.socket.sendall(b"POST / HTTP/1.1\r\nHost: open.test\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
        self.assertEqual(client.socket.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        response = client.raw("hi")
        self.assertEqual(json.loads(response.content)["body_size"], 2)
        self.assertEqual(fields_of(response, "Expect"), [])
        refused = self.connect("required.test").raw("POST / HTTP/1.1\r\n^\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        self.assertEqual((refused.status, refused.getheader("Connection")), (403, "close"))
        self.assertEqual(self.connect().raw("GET / HTTP/1.1\r\n^\r\nExpect: tea\r\n\r\n").status, 417)

    def test_bodies_of_responses(self):
        cases = [
            ("GET", b"Content-Length: 3\r\n\r\nabc", b"abc", "3"),
            ("GET", b"Content-Length: 0\r\n\r\n", b"", "0"),
            ("GET", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n", b"abc", None),
            ("GET", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"", None),
            ("GET", b"Connection: close\r\n\r\nabc", b"abc", None),
            ("HEAD", b"Content-Length: 3\r\n\r\n", b"", "3"),
            ("HEAD", b"Transfer-Encoding: chunked\r\n\r\n", b"", None),
        ]
        client = self.connect("scripted.test")
        for method, answer, content, length in cases:
            with self.subTest(method=method, answer=answer):
                def script(connection, reader):
                    read_head(reader)
                    connection.sendall(OK + answer)
                self.script(script)
                response = client.request(method)
                self.assertEqual((response.status, response.content), (200, content))
                self.assertEqual(response.getheader("Content-Length"), length)
                self.assertEqual(self.proxy.next_log()["bytes_sent"], len(content))

    def test_statuses_without_a_body(self):
        client = self.connect("scripted.test")
        for answer, status in ((b"HTTP/1.1 204 No Content\r\n\r\n", 204),
                               (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304),
                               (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n",
                                404)):
            with self.subTest(status):
                def script(connection, reader):
                    read_head(reader)
                    connection.sendall(answer)
                self.script(script)
                self.assertEqual(client.get().status, status)

    def test_http_1_0(self):
        client = self.connect()
        response = client.raw("GET / HTTP/1.0\r\n^\r\n\r\n")
        self.assertEqual((response.version, response.status), (10, 200))
        self.assertTrue(client.is_closed())
        client = self.connect()
        for _ in range(2):
            response = client.raw("GET / HTTP/1.0\r\n^\r\nConnection: keep-alive\r\n\r\n")
            self.assertEqual(response.getheader("Connection"), "keep-alive")

        def script(connection, reader):
            read_head(reader)
            connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        self.script(script)
        client = self.connect("scripted.test")
        response = client.raw("GET / HTTP/1.0\r\n^\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual((response.content, response.getheader("Transfer-Encoding")), (b"abc", None))

    def test_the_target(self):
        for target, path in (("/a?b=c", "/a?b=c"), ("https://OPEN.test:8443/a?b", "/a?b"), ("https://open.test", "/"),
                             ("https://open.test?q", "/?q")):
            with self.subTest(target):
                response = self.connect().raw(f"GET {target} HTTP/1.1\r\n^\r\n\r\n")
                self.assertEqual(json.loads(response.content)["target"], path)
        self.assertEqual(self.connect().raw("OPTIONS * HTTP/1.1\r\n^\r\n\r\n").status, 200)

    def test_a_request_for_another_host_is_misdirected(self):
        for host, status in (("required.test", 421), ("open.test.evil.test", 421), ("xopen.test", 421), ("", 421),
                             ("open.test..", 421), ("[::1]", 421), ("127.0.0.1", 421), ("open.test\xe9", 421),
                             ("OPEN.TEST:443", 200), ("open.test.", 200)):
            with self.subTest(host):
                self.assertEqual(self.connect().raw(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").status, status)
        absolute = "GET https://required.test/ HTTP/1.1\r\nHost: open.test\r\n\r\n"
        self.assertEqual(self.connect().raw(absolute).status, 421)

    def test_ambiguous_and_malformed_requests_are_refused(self):
        line = "POST / HTTP/1.1\r\n^\r\n"
        cases = [
            (line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (line + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
            (line + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
            (line + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
            (line + "Content-Length: 5, 5\r\n\r\nhello", 400),
            (line + "Content-Length: +5\r\n\r\nhello", 400),
            (line + "Content-Length: -1\r\n\r\n", 400),
            (line + "Content-Length: 0x5\r\n\r\nhello", 400),
            (line + "Content-Length: 99999999999999999999999\r\n\r\n", 400),
            (line + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
            (line + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
            (line + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
            (line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (line + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
            (line + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
            ("POST / HTTP/1.0\r\n^\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n^\r\n^\r\n\r\n", 400),
            ("GET open.test:443 HTTP/1.1\r\n^\r\n\r\n", 400),
            ("GET http://open.test/ HTTP/1.1\r\n^\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\n^\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n^\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\n^\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n^\r\nX: a\x00b\r\n\r\n", 400),
            ("nonsense\r\n\r\n", 400),
            ("CONNECT open.test:443 HTTP/1.1\r\n^\r\n\r\n", 405),
            ("GET / HTTP/1.1\r\n^\r\nX: " + "x" * 40_000 + "\r\n\r\n", 431),
        ]
        for request, status in cases:
            with self.subTest(request[:80]):
                client = self.connect()
                response = client.raw(request)
                self.assertEqual(response.status, status)
                self.assertTrue(client.is_closed())
                self.assertEqual(self.proxy.next_log()["status"], status)

    def test_a_refusal_is_read_by_a_client_that_is_still_sending(self):
        client = self.connect("required.test")
        response = client.raw("POST / HTTP/1.1\r\n^\r\nContent-Length: 1000000\r\n\r\n" + "x" * 100_000)
        self.assertEqual(response.status, 403)

    def test_any_bytes_in_the_target_make_a_line_of_json(self):
        self.connect().raw("GET /\xff\xfe\"\\ HTTP/1.1\r\n^\r\n\r\n")
        self.assertIn("\"\\", self.proxy.next_log()["target"])


class ManyClients(ProxyTest):
    def test_clients_at_once_get_their_own_answers(self):
        wrong = []

        def visit(number):
            certificate = pki / "good.pem" if number % 2 else None
            with Client(self.proxy.port, "optional.test", client_context(certificate=certificate)) as client:
                for i in range(20):
                    response = client.get(f"/{number}/{i}")
                    if json.loads(response.content)["target"] != f"/{number}/{i}":
                        wrong.append(response.content)
                    if len(fields_of(response, "Client-Cert")) != number % 2:
                        wrong.append(response.content)
        threads = [threading.Thread(target=visit, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(len(self.proxy.next_log(16 * 20)), 320)


if __name__ == "__main__":
    unittest.main()
