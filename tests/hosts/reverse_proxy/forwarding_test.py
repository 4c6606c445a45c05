#!/usr/bin/env python3
"""The fields of requests and responses."""

import json
import unittest

from fixture import OK, ProxyTest, fields_of, pki
from support import certificates_of, client_context, read_head


class Fields(ProxyTest):
    def test_what_a_client_forges_is_removed(self):
        leaf = certificates_of(pki / "good.pem")[0]
        forged = ("Client-Cert: :Zm9yZ2Vk:", "client-cert: :Zm9yZ2Vk:", "CLIENT-CERT: :Zm9yZ2Vk:", "Client_Cert: x",
                  "Client-Cert-Chain: :Zm9yZ2Vk:", "cLiEnT-cErT-cHaIn: :Zm9yZ2Vk:", "client_cert-Chain: x",
                  "X-Forwarded-For: 10.0.0.1", "X_Forwarded_Proto: http", "Forwarded: for=10.0.0.1")
        for name, certificate in (("open.test", None), ("optional.test", None), ("optional.test", "stranger"),
                                  ("private.test", "good"), ("optional.test", "good")):
            with self.subTest(name=name, certificate=certificate):
                client = self.connect(name, client_context(certificate=certificate and pki / f"{certificate}.pem"))
                response = client.raw("GET / HTTP/1.1\r\n^\r\n" + "\r\n".join(forged) + "\r\nX-Kept: 1\r\n\r\n")
                self.assertEqual(response.status, 200)
                text = response.content.decode()
                self.assertNotIn("Zm9yZ2Vk", text)
                self.assertNotIn("10.0.0.1", text)
                self.assertNotIn("_", "".join(name for name, _ in json.loads(text)["fields"]))
                proven = (name, certificate) == ("optional.test", "good")
                self.assertEqual(fields_of(response, "Client-Cert"), [f":{leaf}:"] if proven else [])
                self.assertEqual(fields_of(response, "X-Forwarded-For"), ["127.0.0.1"])
                self.assertEqual(fields_of(response, "X-Forwarded-Proto"), ["https"])
                self.assertEqual(fields_of(response, "X-Kept"), ["1"])

    def test_a_client_cannot_have_the_proxys_own_fields_removed(self):
        client = self.connect("optional.test", client_context(certificate=pki / "good.pem"))
        response = client.raw("GET / HTTP/1.1\r\n^\r\nConnection: keep-alive, Client-Cert, host, X-Forwarded-For\r\n\r\n")
        self.assertEqual(len(fields_of(response, "Client-Cert")), 1)
        self.assertEqual(fields_of(response, "Host"), ["optional.test"])
        self.assertEqual(fields_of(response, "X-Forwarded-For"), ["127.0.0.1"])

    def test_hop_by_hop_fields_stay_on_their_hop(self):
        client = self.connect()
        response = client.raw("GET / HTTP/1.1\r\n^\r\nConnection: x-one , keep-alive, connection\r\n"
                              "Connection: ,X-Two\r\nX-One: 1\r\nX-one: 1\r\nx-two: 2\r\nX-Three: 3\r\n"
                              "TE: trailers\r\nTrailer: x\r\nUpgrade: websocket\r\nKeep-Alive: 5\r\n"
                              "Proxy-Connection: x\r\nProxy-Authorization: x\r\n\r\n")
        names = {name.lower() for name, _ in json.loads(response.content)["fields"]}
        self.assertEqual(names, {"host", "via", "x-forwarded-for", "x-forwarded-proto", "x-three"})
        response = client.raw("POST / HTTP/1.1\r\n^\r\nConnection: Content-Length\r\n"
                              "Content-Length: 2\r\n\r\nhi")
        self.assertEqual(json.loads(response.content)["body_size"], 2)

        def script(connection, reader):
            read_head(reader)
            connection.sendall(OK + b"Connection: X-One\r\nX-One: 1\r\nX-Two: 2\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"
                               b"Trailer: x\r\nProxy-Authenticate: x\r\nProxy-Authentication-Info: x\r\n"
                               b"Proxy-Status: x\r\n"
                               b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi")
        self.script(script)
        response = self.connect("scripted.test").get()
        self.assertEqual(response.getheaders(), [("X-Two", "2"), ("Proxy-Status", "x"), ("Set-Cookie", "a=1"),
                                                 ("Set-Cookie", "b=2"), ("Via", "1.1 reverse_proxy"),
                                                 ("Content-Length", "2")])

    def test_via_is_appended_to_what_a_request_has_come_through(self):
        for version, sent, expected in (
                ("1.1", "", "1.1 reverse_proxy"),
                ("1.0", "", "1.0 reverse_proxy"),
                ("1.1", "Via: 1.0 fred, 1.1 p.example.net\r\n", "1.0 fred, 1.1 p.example.net, 1.1 reverse_proxy"),
                ("1.1", "via: 1.0 fred\r\nX: y\r\nVIA: 2 b (c, d)\r\n", "1.0 fred, 2 b (c, d), 1.1 reverse_proxy"),
                ("1.1", "Via: 1.0 fred\r\nConnection: via\r\n", "1.1 reverse_proxy")):
            with self.subTest(version=version, sent=sent):
                response = self.connect().raw(f"GET / HTTP/{version}\r\n^\r\n{sent}\r\n")
                self.assertEqual(fields_of(response, "Via"), [expected])

    def test_via_is_appended_to_what_a_response_has_come_through(self):
        for version, sent, expected in (
                (b"1.1", b"", ["1.1 reverse_proxy"]),
                (b"1.0", b"", ["1.0 reverse_proxy"]),
                (b"1.1", b"Via: 1.1 cache\r\nX: y\r\nvia: 1.0 inner\r\n", ["1.1 cache, 1.0 inner, 1.1 reverse_proxy"])):
            with self.subTest(version=version, sent=sent):
                def script(connection, reader):
                    read_head(reader)
                    connection.sendall(b"HTTP/" + version + b" 200 OK\r\n" + sent + b"Content-Length: 0\r\n\r\n")
                self.script(script)
                response = self.connect("scripted.test").get()
                self.assertEqual([value for name, value in response.getheaders() if name == "Via"], expected)

    def test_an_answer_of_the_proxys_own_has_no_via(self):
        self.assertIsNone(self.connect("down.test").get().getheader("Via"))


if __name__ == "__main__":
    unittest.main()
