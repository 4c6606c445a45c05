#!/usr/bin/env python3
"""The audit of a server with the hole built in: every outcome that there is."""

import unittest

from fixture import GOOD, MECHANISMS, STRANGER, AuditTest, arguments_for, pki, run

ROOT, OTHER_ROOT = pki / "root.pem", pki / "unknown_root.pem"
NAMES = ("open.test", "ask.test", "require.test", "forbid.test", "other.test")
POLICIES = {"open": "open", "ask": f"ask:{ROOT}", "require": f"require:{ROOT}", "forbid": f"forbid:{ROOT}",
            "other": f"ask:{OTHER_ROOT}"}


class HoleyServer(AuditTest):
    def test_every_pair_where_everything_is_resumed_everywhere(self):
        report = self.audit(self.start_holey_server(**POLICIES), NAMES, GOOD)
        self.assertEqual(report.exit_code, 1)
        for mechanism in MECHANISMS:
            for certificate in (None, "good.pem"):
                for made in NAMES:
                    for offered in NAMES:
                        with self.subTest(mechanism=mechanism, certificate=certificate, made=made, offered=offered):
                            self.assertEqual(report.outcome(certificate, made, offered, mechanism),
                                             self.expected(certificate, made, offered))

    @staticmethod
    def expected(certificate, made, offered):
        if made == "require.test" and certificate is None:
            return "no_session"
        if made == offered:
            return "own_name"
        if offered == "open.test":
            return "identity_carried" if certificate else "nothing_carried"
        if made == "open.test" and offered == "forbid.test" and certificate:
            return "refused"  # without a certificate in the session it gets 403, which a new client doesn't
        if made in ("open.test", "other.test") or offered == "other.test":
            return "hole"
        if offered == "require.test" and certificate is None:
            return "hole"  # the same CA names, but a new client without a certificate does not get in
        return "same_policy"

    def test_what_new_clients_are_asked_and_get(self):
        report = self.audit(self.start_holey_server(**POLICIES), NAMES, GOOD, STRANGER)
        for tls, none_given in (("1.2", "alert 40"), ("1.3", "alert 116")):
            for key, asked, sent, ca_names, ending in (
                    ((None, "open.test", tls), False, False, [], "200"),
                    (("good.pem", "open.test", tls), False, False, [], "200"),
                    ((None, "ask.test", tls), True, False, ["CN=Client CA"], "200"),
                    (("good.pem", "ask.test", tls), True, True, ["CN=Client CA"], "200"),
                    ((None, "require.test", tls), True, False, ["CN=Client CA"], none_given),
                    (("good.pem", "require.test", tls), True, True, ["CN=Client CA"], "200"),
                    (("stranger.pem", "require.test", tls), True, True, ["CN=Client CA"], "alert 48"),
                    ((None, "forbid.test", tls), True, False, ["CN=Client CA"], "403"),
                    (("stranger.pem", "other.test", tls), True, True, ["CN=Unknown CA"], "200")):
                with self.subTest(key=key):
                    visit = report.new_clients[key]
                    self.assertEqual((visit["asked"], visit["certificate_sent"], visit["ca_names"],
                                      visit["ending"]["text"]), (asked, sent, ca_names, ending))
        self.assertEqual(report.new_clients[None, "require.test", "1.3"]["ending"]["alert"],
                         {"number": 116, "text": "certificate required"})
        self.assertEqual(report.json["certificates"], [{"label": "good.pem", "subject": "CN=Good Client"},
                                                       {"label": "stranger.pem", "subject": "CN=Stranger"}])

    def test_a_certificate_that_is_refused_gets_in_with_a_session_of_the_same_ca_names(self):
        report = self.audit(self.start_holey_server(**POLICIES), ("ask.test", "require.test"), STRANGER)
        for mechanism in MECHANISMS:
            self.assertEqual(report.outcome("stranger.pem", "ask.test", "require.test", mechanism), "hole")

    def test_the_same_without_http(self):
        report = self.audit(self.start_holey_server(**POLICIES), NAMES, GOOD, more=["--no-http"])
        for mechanism in MECHANISMS:
            with self.subTest(mechanism=mechanism):
                self.assertEqual(report.outcome(None, "open.test", "ask.test", mechanism), "hole")
                self.assertEqual(report.outcome(None, "ask.test", "require.test", mechanism), "hole")
                self.assertEqual(report.outcome("good.pem", "ask.test", "open.test", mechanism), "identity_carried")
                self.assertEqual(report.outcome("good.pem", "ask.test", "require.test", mechanism), "same_policy")
                self.assertEqual(report.outcome(None, "require.test", "open.test", mechanism), "no_session")
                self.assertEqual(report.pairs[None, "open.test", "ask.test", mechanism]["offered"]["ending"],
                                 {"text": "accepted"})

    def test_a_refusal(self):
        for option, ending in (("--alert", "alert 49"), ("--421", "421")):
            port = self.start_holey_server(option, **POLICIES)
            report = self.audit(port, ("open.test", "ask.test", "require.test"), GOOD)
            for mechanism in MECHANISMS:
                with self.subTest(option=option, mechanism=mechanism):
                    for certificate, made, offered in ((None, "open.test", "ask.test"),
                                                       (None, "open.test", "require.test"),
                                                       ("good.pem", "open.test", "require.test"),
                                                       ("good.pem", "ask.test", "require.test")):
                        pair = report.pairs[certificate, made, offered, mechanism]
                        self.assertEqual((pair["outcome"], pair["offered"]["ending"]["text"]), ("refused", ending))
                    self.assertEqual(report.outcome("good.pem", "ask.test", "open.test", mechanism), "identity_carried")
                    self.assertEqual(report.outcome("good.pem", "ask.test", "ask.test", mechanism), "own_name")
            # Nothing carried, nobody let in: a refusal is no finding.
            without = self.audit(port, ("open.test", "ask.test"))
            self.assertEqual((without.exit_code, without.outcomes()), (0, {"own_name", "refused", "nothing_carried"}))
        no_http = self.audit(self.start_holey_server("--alert", **POLICIES), NAMES, more=["--no-http"])
        self.assertEqual(no_http.outcome(None, "open.test", "require.test", "1.3 ticket"), "refused")

    def test_an_identity_alone_is_a_finding(self):
        port = self.start_holey_server("--alert", **POLICIES)
        report = self.audit(port, ("open.test", "ask.test"), GOOD)
        self.assertNotIn("hole", report.outcomes())
        self.assertEqual(report.exit_code, 1)

    def test_a_mechanism_is_not_mistaken_for_another(self):
        for option, without in (("--no-tickets", "1.2 ticket"), ("--no-cache", "1.2 session id")):
            report = self.audit(self.start_holey_server(option, **POLICIES), ("open.test", "ask.test"))
            for mechanism in MECHANISMS:
                with self.subTest(option=option, mechanism=mechanism):
                    outcome = report.outcome(None, "open.test", "ask.test", mechanism)
                    self.assertEqual(outcome, "no_session" if mechanism == without else "hole")

    def test_a_server_that_resumes_nothing_shows_nothing(self):
        report = self.audit(self.start_holey_server("--forget", **POLICIES), ("open.test", "ask.test"), GOOD)
        self.assertEqual((report.exit_code, report.outcomes()), (0, {"not_resumable"}))
        self.assertIn("None was resumed under its own name", report.json["summary"])

    def test_names_that_give_no_answer_do_not_hide_the_others(self):
        names = ("open.test", "ask.test", "stall.test", "garbage.test")
        port = self.start_holey_server(open="open", ask=f"ask:{ROOT}", stall="stall", garbage="garbage")
        report = self.audit(port, names, more=["--timeout", "1"])
        for mechanism in MECHANISMS:
            with self.subTest(mechanism=mechanism):
                self.assertEqual(report.outcome(None, "open.test", "ask.test", mechanism), "hole")
                self.assertEqual(report.outcome(None, "open.test", "stall.test", mechanism), "timed_out")
                self.assertEqual(report.outcome(None, "open.test", "garbage.test", mechanism), "garbled")
                self.assertEqual(report.outcome(None, "stall.test", "open.test", mechanism), "timed_out")
        self.assertEqual(report.new_clients[None, "stall.test", "1.3"]["ending"]["text"], "timed out")
        self.assertEqual(self.audit(port, ("open.test", "stall.test"), more=["--timeout", "1"]).exit_code, 3)

    def test_a_name_that_hangs_up_after_the_handshake_has_sessions_all_the_same(self):
        port = self.start_holey_server(hangup="hangup", ask=f"ask:{ROOT}")
        report = self.audit(port, ("hangup.test", "ask.test"))
        for mechanism in ("1.2 ticket", "1.3 ticket"):  # the server itself forgets an id then
            with self.subTest(mechanism=mechanism):
                self.assertEqual(report.outcome(None, "hangup.test", "hangup.test", mechanism), "own_name")
                self.assertEqual(report.outcome(None, "hangup.test", "ask.test", mechanism), "hole")
        self.assertEqual(report.new_clients[None, "hangup.test", "1.3"]["ending"]["text"], "closed")

    def test_a_name_that_the_server_does_not_know(self):
        port = self.start_holey_server(open="open", ask=f"ask:{ROOT}")
        report = self.audit(port, ("open.test", "unknown.test", "ask.test"))
        for mechanism in MECHANISMS:
            with self.subTest(mechanism=mechanism):
                self.assertEqual(report.outcome(None, "open.test", "ask.test", mechanism), "hole")
                self.assertEqual(report.outcome(None, "open.test", "unknown.test", mechanism), "full")
                self.assertEqual(report.outcome(None, "unknown.test", "open.test", mechanism), "no_session")
        self.assertEqual(report.new_clients[None, "unknown.test", "1.2"]["ending"]["alert"]["number"], 112)

    def test_one_version_alone(self):
        port = self.start_holey_server(open="open", ask=f"ask:{ROOT}")
        for version in ("1.2", "1.3"):
            report = self.audit(port, ("open.test", "ask.test"), more=["--tls", version])
            self.assertEqual({visit["tls"] for visit in report.json["new_clients"]}, {version})

    def test_the_table(self):
        port = self.start_holey_server(**POLICIES)
        result = run(*arguments_for(port, NAMES, GOOD))
        self.assertEqual(result.returncode, 1)
        lines = result.stdout.splitlines()
        self.assertLessEqual(max(map(len, lines)), 120)
        self.assertIn(["none", "open.test", "ask.test"] + ["HOLE,", "200"] * 3, [line.split() for line in lines])
        self.assertIn("[1]         CA names: CN=Client CA", lines)
        counts = self.audit(port, NAMES, GOOD).json["counts"]
        self.assertEqual(lines[-1], f"150 sessions: {counts['hole']} into a hole, {counts['identity_carried']} with an "
                                    f"identity into an open name, {counts['refused']} refused, 0 without an answer.")
        self.assertIn("resumption_audit: TLS 1.3 ticket, certificate: good.pem\n", result.stderr)

    def test_long_names_are_numbered(self):
        long = [f"{'long-' * 12}{i}.test" for i in (1, 2)]
        port = self.start_holey_server(**{name.removesuffix(".test"): "open" for name in long})
        result = run(*arguments_for(port, long))
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        self.assertLessEqual(max(map(len, lines)), 120)
        self.assertIn(f"  n1   {long[0]}", lines)
        self.assertIn(["none", "n1", "n2"] + ["harmless,", "200"] * 3, [line.split() for line in lines])


if __name__ == "__main__":
    unittest.main()
