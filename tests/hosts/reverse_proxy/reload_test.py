#!/usr/bin/env python3
"""SIGHUP: another configuration while the proxy runs, or none of it."""

import shutil
import signal
import ssl
import threading
import unittest

from fixture import (OK, ProxyTest, configuration, fields_of, folder, pki, server_names, site, start,
                     write_configuration)
from support import BOTH_VERSIONS, Client, client_context, read_head, unused_port

CHANGED = b"the rules for this host have changed: connect again\n"


def answer(text):
    """A script for an upstream that answers every request with a text."""
    def script(connection, reader):
        while read_head(reader):
            connection.sendall(OK + b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
    return script


class Reload(ProxyTest):
    def replace(self, change=lambda config: None):
        config = configuration()
        change(config)
        self.assertEqual(self.reload(config), "reloaded")

    def client_verify(self):
        return self.proxy.next_log()["request"]["tls"]["client_verify"]

    def test_a_reload_that_changes_nothing_costs_nobody_a_handshake(self):
        for version in BOTH_VERSIONS:
            with self.subTest(version):
                context = client_context(version, pki / "good.pem")
                kept = self.connect("optional.test", context)
                kept.get()
                self.replace()
                self.assertEqual(kept.get().status, 200)
                again = self.connect("optional.test", context, kept.socket.session)
                self.assertEqual(len(fields_of(again.get(), "Client-Cert")), 1)
                self.assertTrue(again.socket.session_reused)

    def test_what_is_not_policy_holds_for_connections_that_are_kept(self):
        def move(config):
            server_names(config)["optional.test"].update(upstream="scripted", forward_client_certificate=False)
            config["time_limits"]["upstream_s"] = 1
        heads = []

        def script(connection, reader):
            while head := read_head(reader):
                heads.append("".join(head).lower())
                if len(heads) > 1:
                    reader.read()
                connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
        self.script(script)
        self.replace(lambda config: config["time_limits"].update(upstream_s=1000))
        client = self.connect("optional.test", client_context(certificate=pki / "good.pem"))
        self.assertEqual(len(fields_of(client.get(), "Client-Cert")), 1)
        self.replace(move)
        self.assertEqual((client.get().status, self.proxy.next_log(2)[1]["upstream"]), (200, "scripted"))
        self.assertNotIn("client-cert", heads[0])
        self.assertEqual(client.get().status, 504)  # after the new time limit

    def test_a_kept_connection_whose_policy_has_changed_is_told_to_come_again(self):
        changes = [
            lambda names: names["optional.test"].update(ca_file="pki/unknown_root.pem"),
            lambda names: names["optional.test"].update(client_certificate="required"),
            lambda names: names["optional.test"].update(max_age_s=60),
            lambda names: names["optional.test"].update(crl_file="pki/crls.pem"),
        ]
        for number, change in enumerate(changes):
            with self.subTest(number):
                self.replace()
                context = client_context(certificate=pki / "good.pem")
                client = self.connect("optional.test", context)
                self.assertEqual(client.get().status, 200)
                self.replace(lambda config: change(server_names(config)))
                response = client.raw("GET / HTTP/1.1\r\n^\r\n\r\n")
                self.assertEqual((response.status, response.content), (421, CHANGED))
                self.assertEqual(response.getheader("Connection"), "close")
                self.assertTrue(client.is_closed())
                again = self.connect("optional.test", context, client.socket.session)
                self.assertEqual(again.get().status, 200)
                self.assertFalse(again.socket.session_reused)

    def test_a_running_request_ends_by_the_rules_that_it_began_with(self):
        asked, go_on = threading.Event(), threading.Event()

        def script(connection, reader):
            read_head(reader)
            asked.set()
            go_on.wait(20)
            connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")
        self.script(script)
        client = self.connect("scripted.test")
        client.http.request("GET", "/")
        asked.wait(20)
        self.replace(lambda config: server_names(config).pop("scripted.test"))
        go_on.set()
        self.assertEqual(client.http.getresponse().read(), b"hi")
        self.assertEqual(self.proxy.next_log()["upstream"], "scripted")
        self.assertEqual(client.get().status, 421)  # the name is gone

    def test_names_come_and_go(self):
        self.replace(lambda config: server_names(config).update({"new.test": site("off"), "*.new.test": site("off")}))
        for name in ("new.test", "a.new.test"):
            self.assertEqual(self.connect(name).get().status, 200)
        kept = self.connect("new.test")
        self.replace()
        self.assertEqual(kept.get().status, 421)
        with self.assertRaises(ssl.SSLError) as refused:
            self.connect("new.test")
        self.assertEqual(refused.exception.reason, "TLSV1_UNRECOGNIZED_NAME")

    def test_a_ca_that_was_taken_out_is_not_trusted_by_way_of_a_session(self):
        for version in BOTH_VERSIONS:
            with self.subTest(version):
                self.replace()
                context = client_context(version, pki / "good.pem")
                client = self.connect("optional.test", context)
                client.get()
                self.assertEqual(self.client_verify(), "SUCCESS")
                shutil.copy(pki / "root.pem", folder / "kept.pem")
                try:
                    shutil.copy(pki / "unknown_root.pem", pki / "root.pem")  # the file alone, not the configuration
                    self.replace()
                    again = self.connect("optional.test", context, client.socket.session)
                    self.assertEqual(fields_of(again.get(), "Client-Cert"), [])
                    self.assertFalse(again.socket.session_reused)
                    self.assertEqual(self.client_verify(), "FAILED:unable to get local issuer certificate")
                    stranger = self.connect("optional.test", client_context(version, pki / "stranger.pem"))
                    self.assertEqual(len(fields_of(stranger.get(), "Client-Cert")), 1)
                    self.assertEqual(self.client_verify(), "SUCCESS")
                finally:
                    shutil.copy(folder / "kept.pem", pki / "root.pem")

    def test_from_optional_to_required(self):
        for version in BOTH_VERSIONS:
            for refuse in ("request", "handshake"):
                with self.subTest(version=version, refuse=refuse):
                    self.replace()
                    context = client_context(version)
                    client = self.connect("optional.test", context)
                    self.assertEqual(client.get().status, 200)
                    session = client.socket.session
                    self.replace(lambda config: server_names(config)["optional.test"].update(
                        client_certificate="required", refuse=refuse))
                    self.assertEqual(client.get().status, 421)
                    if refuse == "handshake":
                        with self.assertRaises(ssl.SSLError):
                            self.connect("optional.test", context, session).get()
                    else:
                        again = self.connect("optional.test", context, session)
                        self.assertEqual(again.get().status, 403)
                        self.assertFalse(again.socket.session_reused)

    def test_of_a_bad_file_nothing_comes_into_force(self):
        def good_part(config):
            names = server_names(config)
            names["new.test"] = site("off")
            del names["open.test"]
            names["optional.test"]["ca_file"] = "pki/unknown_root.pem"
            names["scripted.test"]["upstream"] = "echo"
        bad = configuration()
        good_part(bad)
        server_names(bad)["required.test"]["ca_file"] = "none.pem"
        empty = configuration()
        good_part(empty)
        (folder / "empty.pem").write_text("")
        server_names(empty)["private.test"]["ca_file"] = "empty.pem"
        cases = [
            (bad, "/listeners/0/server_names/required.test/ca_file: "),
            (empty, "empty.pem: there is no certificate in it"),
            ("{", "proxy.json: parse error at line 1"),
            ("", "proxy.json: parse error at line 1"),
        ]
        self.script(answer(b"scripted"))
        context = client_context(certificate=pki / "good.pem")
        kept = self.connect("optional.test", context)
        kept.get()
        for config, message in cases:
            with self.subTest(message):
                said = self.reload(config)
                self.assertTrue(said.startswith(f"not reloaded: {folder / 'proxy.json'}: "), said)
                self.assertIn(message, said)
                self.assertEqual(len(fields_of(kept.get(), "Client-Cert")), 1)
                again = self.connect("optional.test", context, kept.socket.session)
                self.assertEqual(len(fields_of(again.get(), "Client-Cert")), 1)
                self.assertTrue(again.socket.session_reused)
                self.assertEqual(self.connect("open.test").get().status, 200)
                self.assertEqual(self.connect("scripted.test").get().content, b"scripted")
                with self.assertRaises(ssl.SSLError):
                    self.connect("new.test")
        (folder / "proxy.json").unlink()
        self.assertIn("proxy.json: cannot be read", self.proxy.reload())
        self.assertEqual(kept.get().status, 200)
        self.replace(good_part)  # and then a good one does
        self.assertEqual(self.connect("new.test").get().status, 200)
        self.assertEqual(kept.get().status, 421)

    def test_what_needs_a_restart_is_refused(self):
        (folder / "ticket.key").write_bytes(bytes(range(80)))
        listener = configuration()["listeners"][0]

        def of_listener(**members):
            return lambda config: config["listeners"][0].update(members)
        cases = [
            ("/threads", lambda config: config.update(threads=7)),
            ("/log", lambda config: config.update(log="other.log")),
            ("/listeners", lambda config: config["listeners"].append(listener)),
            ("/listeners/0/address", of_listener(address="127.0.0.2")),
            ("/listeners/0/port", of_listener(port=unused_port())),
            ("/listeners/0/certificate", of_listener(certificate="pki/good.pem", private_key="pki/good.key")),
            ("/listeners/0/ticket_key_file", of_listener(ticket_key_file="ticket.key")),
        ]
        for place, change in cases:
            with self.subTest(place):
                config = configuration()
                server_names(config)["new.test"] = site("off")
                change(config)
                self.assertEqual(self.reload(config), f"not reloaded: {folder / 'proxy.json'}: {place}: has changed, "
                                                      "which needs a restart")
                with self.assertRaises(ssl.SSLError):
                    self.connect("new.test")
        self.replace()

    def test_what_stands_in_the_files_counts_not_what_they_are_called(self):
        config = configuration()
        config["listeners"][0].update(ticket_key_file="a.key", certificate="a.pem")
        (folder / "a.key").write_bytes(bytes(range(80)))
        shutil.copy(pki / "server.pem", folder / "a.pem")
        proxy = start(config)
        self.addCleanup(proxy.stop)
        (folder / "a.key").rename(folder / "b.key")
        (folder / "a.pem").rename(folder / "b.pem")
        config["listeners"][0].update(ticket_key_file="b.key", certificate="b.pem")
        write_configuration(config)
        self.assertEqual(proxy.reload(), "reloaded")
        (folder / "b.key").write_bytes(bytes(range(1, 81)))
        self.assertIn("/listeners/0/ticket_key_file: has changed", proxy.reload())
        (folder / "b.key").write_bytes(bytes(range(80)))
        with open(folder / "b.pem", "a") as file:  # one more certificate in the chain
            file.write((pki / "server_ca.pem").read_text())
        self.assertIn("/listeners/0/certificate: has changed", proxy.reload())
        shutil.copy(pki / "server.pem", folder / "b.pem")
        self.assertEqual(proxy.reload(), "reloaded")

    def test_requests_while_it_reloads_see_one_configuration_or_the_other(self):
        def other(config):
            server_names(config)["optional.test"].update(ca_file="pki/unknown_root.pem", upstream="scripted")

        def script(connection, reader):
            while head := read_head(reader):
                content = b"proven" if "client-cert" in "".join(head).lower() else b"unproven"
                connection.sendall(OK + b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self.script(script)
        stop, wrong, seen = threading.Event(), [], set()

        def judge(response):
            if response.status == 421:
                seen.add("421" if response.content == CHANGED else wrong.append(response.content))
            elif response.status != 200:
                wrong.append((response.status, response.content))
            elif response.content in (b"proven", b"unproven"):  # the good client under the other CA
                seen.add("other")
                if response.content == b"proven":
                    wrong.append("proven by a CA that is not in force")
            else:
                seen.add("first")
                if len(fields_of(response, "Client-Cert")) != 1:
                    wrong.append("not proven under its own CA")

        def visit(version):
            context, session = client_context(version, pki / "good.pem"), None
            try:
                while not stop.is_set():
                    with Client(self.proxy.port, "optional.test", context, session) as client:
                        for _ in range(5):
                            response = client.get()
                            judge(response)
                            session = client.socket.session
                            if response.status == 421:
                                break
            except Exception as error:  # a thread's own would be lost
                wrong.append(repr(error))
        threads = [threading.Thread(target=visit, args=(version,)) for version in BOTH_VERSIONS * 2]
        for thread in threads:
            thread.start()
        try:
            for number in range(60):
                self.replace(other if number % 2 == 0 else lambda config: None)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(seen, {"first", "other", "421"})

    def test_it_stops_in_good_order_while_it_reloads(self):
        for _ in range(5):
            self.proxy.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.proxy.stop(), 0)


if __name__ == "__main__":
    unittest.main()
