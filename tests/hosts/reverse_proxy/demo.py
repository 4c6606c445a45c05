#!/usr/bin/env python3
"""The reverse proxy at work: demo.py PROGRAM [--keep]. scripts/demo builds the program and calls this."""

import contextlib
import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import PATIENCE_S, Clock, Program, certificates_of, echo_upstream, make_pki, temporary_folder, unused_port

EXAMPLE = HERE.parents[2] / "examples" / "reverse_proxy" / "example.json"
NO_CERTIFICATE, WHOLE_CHAIN = "no certificate", "whole chain"
NOT_ASKED = "-"
UNKNOWN, EXPIRED = "FAILED:unable to verify the first certificate", "FAILED:certificate has expired"
MISSING = "FAILED:no certificate where one is required"
UNTRUSTED = "FAILED:unable to get local issuer certificate"
FORGED = {"Client-Cert": ":Zm9yZ2Vk:", "client-cert-chain": ":Zm9yZ2Vk:"}
LAYOUT = "{:<39} {:<14} {:<4} {:<14} {}"


@dataclasses.dataclass
class Got:
    """What a connection came to: at the client, at the upstream, in the log."""
    session: str
    status: int | str
    upstream: str
    log: str


class Demo:
    def __init__(self, program, folder, upstream_port):
        self.folder, self.pki = folder, folder / "pki"
        config = json.loads(EXAMPLE.read_text())
        names = config["listeners"][0]["server_names"]
        make_pki(self.pki, *names)
        config["upstreams"]["application"]["port"] = upstream_port
        self.port = config["listeners"][0]["port"] = unused_port()
        (folder / "proxy.json").write_text(json.dumps(config, indent=2))
        self.clock = Clock(program.with_name("libsimulated_clock.so"), folder / "clock")
        self.proxy = Program([program, "--config", folder / "proxy.json"], folder / "access.log", preloaded=self.clock)
        self.chain = [f":{certificate}:" for certificate in certificates_of(self.pki / "good.pem")]
        self.wrong = 0

    def show(self):
        for version in ("1.2", "1.3"):
            print(LAYOUT.format(f"TLS {version}", "session", "HTTP", "upstream got", "request.tls.client_verify, or error"))
            self.show_certificates(version)
            self.show_handshake_refusals(version)
            self.show_resumption(version)
            self.show_the_end_of_trust(version)
            print(flush=True)

    def show_certificates(self, version):
        def row(what, name, certificate, *expected, **fields):
            self.row(what, Got("new", *expected), self.curl(version, name, certificate, fields))
        row("nothing is asked, none is given", "open.test", None, 200, NO_CERTIFICATE, "NONE")
        row("asked: no certificate", "optional.test", None, 200, NO_CERTIFICATE, "NONE")
        row("asked: a good one, and its intermediate", "optional.test", "good", 200, WHOLE_CHAIN, "SUCCESS")
        row("asked: one of an unknown CA", "optional.test", "stranger", 200, NO_CERTIFICATE, UNKNOWN)
        row("asked: an expired one", "optional.test", "expired", 200, NO_CERTIFICATE, EXPIRED)
        row("required: no certificate", "required.test", None, 403, NOT_ASKED, MISSING)
        row("required: one of an unknown CA", "required.test", "stranger", 403, NOT_ASKED, UNKNOWN)
        row("required: an expired one", "required.test", "expired", 403, NOT_ASKED, EXPIRED)
        row("required: a good one", "required.test", "good", 200, WHOLE_CHAIN, "SUCCESS")
        row("a forged Client-Cert, nothing asked", "open.test", None, 200, NO_CERTIFICATE, "NONE", **FORGED)
        row("a forged Client-Cert, and a good one", "optional.test", "good", 200, WHOLE_CHAIN, "SUCCESS", **FORGED)

    def show_handshake_refusals(self, version):
        def row(what, certificate, alert, log):
            got = self.s_client(version, "strict.test", certificate)
            self.row(what, Got(alert, NOT_ASKED, NOT_ASKED, log), got)
        none_given = "alert 40" if version == "1.2" else "alert 116"  # handshake_failure, certificate_required
        row("refused in the handshake: none given", None, none_given, "peer did not return a certificate")
        row("refused in the handshake: unknown CA", "stranger", "alert 48", "unable to get local issuer certificate")
        row("refused in the handshake: expired", "expired", "alert 45", "certificate has expired")

    def show_resumption(self, version):
        def row(what, name, certificate, offered, made, *expected):
            got = self.s_client(version, name, certificate, offered, made)
            self.row(what, Got(*expected), got)
        proven = "new, kept", 200, WHOLE_CHAIN, "SUCCESS"
        row("a session is made, with a good one", "optional.test", "good", None, "first", *proven)
        again = "resumed", 200, WHOLE_CHAIN, "SUCCESS"
        row("it is resumed, nothing is sent again", "optional.test", None, "first", "second", *again)
        newest = "second" if self.session_file("second").exists() else "first"  # 1.2 gives no new one
        row("and once more", "optional.test", None, newest, None, *again)
        row("it is offered under another name", "required.test", None, "first", None, "new", 403, NOT_ASKED, MISSING)
        row("it is offered where nothing is asked", "open.test", None, "first", None, "new", 200, NO_CERTIFICATE, "NONE")
        unkept = "new, none kept", 200, WHOLE_CHAIN, "SUCCESS"
        row("reuse is disabled", "private.test", "good", None, "none", *unkept)
        offered = "none" if self.session_file("none").exists() else "first"
        row("reuse is disabled: one is offered", "private.test", "good", offered, None, "new", *unkept[1:])

    def show_the_end_of_trust(self, version):
        def row(what, name, offered, made, session, *expected):
            got = self.s_client(version, name, "good", offered, made)
            self.row(what, Got(session, 200, *expected), got)
        proven = WHOLE_CHAIN, "SUCCESS"
        row("a session, for an hour at the most", "strict.test", None, "aged", "new, kept", *proven)
        self.clock.advance(3500)
        renewed = "renewed" if version == "1.3" else None
        row("after 3,500 seconds it is resumed", "strict.test", "aged", renewed, "resumed", *proven)
        self.clock.advance(200)
        row("after the maximum age: asked again", "strict.test", renewed or "aged", None, "new", *proven)
        row("a session is made, with a good one", "optional.test", None, "trusted", "new, kept", *proven)
        self.reload(ca="unknown_root")
        row("after its CA was taken out (SIGHUP)", "optional.test", "trusted", None, "new", NO_CERTIFICATE, UNTRUSTED)
        self.reload(ca="root")

    def reload(self, ca):
        """Another CA for optional.test."""
        config = json.loads((self.folder / "proxy.json").read_text())
        config["listeners"][0]["server_names"]["optional.test"]["ca_file"] = f"pki/{ca}.pem"
        (self.folder / "proxy.json").write_text(json.dumps(config, indent=2))
        if (said := self.proxy.reload()) != "reloaded":
            raise RuntimeError(f"the proxy says: {said}")

    def row(self, what, expected, got):
        print(LAYOUT.format(what, got.session, got.status, got.upstream, got.log), flush=True)
        if got != expected:
            self.wrong += 1
            print(LAYOUT.format("  WRONG, it should be:", expected.session, expected.status, expected.upstream,
                                expected.log), flush=True)

    def curl(self, version, name, certificate, fields):
        command = self.curl_command(name, certificate) + [f"--tlsv{version}", "--tls-max", version]
        for field, value in fields.items():
            command += ["--header", f"{field}: {value}"]
        output = run(command + ["--silent", "--show-error", "--write-out", "\n%{http_code}"])
        body, status = output.rsplit("\n", 1)
        return self.got("new", int(status), body)

    def s_client(self, version, name, certificate, offered=None, made=None):
        command = self.s_client_command(name, certificate) + [f"-tls{version.replace('.', '_')}"]
        if offered:
            command += ["-sess_in", self.session_file(offered)]
        if made:
            self.session_file(made).unlink(missing_ok=True)
            command += ["-sess_out", self.session_file(made)]
        request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=PATIENCE_S)
        if alert := re.search("SSL alert number ([0-9]+)", done.stderr):
            return self.refused(alert[1])
        output = done.stdout.replace("read R BLOCK\n", "")  # s_client's own word, amidst the response
        if done.returncode != 0:
            raise RuntimeError(f"openssl failed with {done.returncode}: {done.stderr}")
        head, response = output.split("HTTP/1.1 ", 1)
        session = "resumed" if re.search("^Reused, ", head, re.MULTILINE) else "new"
        if made and session == "new":
            session += ", kept" if re.search("New Session Ticket arrived|TLS session ticket:", head) else ", none kept"
        return self.got(session, int(response[:3]), response.split("\n\n", 1)[1])

    def got(self, session, status, body):
        line = self.proxy.next_log()
        told = session, status
        logged = "resumed" if line["resumed"] else "new", line["status"]
        if (session.split(",")[0], status) != logged:
            raise RuntimeError(f"the client was told {told}, the log says {logged}")
        upstream = NOT_ASKED if line["upstream"] is None else self.certificates_in(body)
        return Got(session, status, upstream, line["request"]["tls"]["client_verify"])

    def refused(self, alert):
        """A client that got an alert; the log says why."""
        line = self.proxy.next_log()
        return Got(f"alert {alert}", NOT_ASKED, NOT_ASKED, line["error"].removesuffix(" (SSL routines)").rsplit(": ", 1)[-1])

    def certificates_in(self, body):
        """What the upstream was told; it answers with what it got."""
        fields = {name.lower(): value for name, value in json.JSONDecoder().raw_decode(body)[0]["fields"]}
        found = fields.get("client-cert"), fields.get("client-cert-chain")
        if found == (None, None):
            return NO_CERTIFICATE
        return WHOLE_CHAIN if found == (self.chain[0], ", ".join(self.chain[1:])) else "something else"

    def curl_command(self, name, certificate):
        command = ["curl", f"https://{name}:{self.port}/", "--resolve", f"{name}:{self.port}:127.0.0.1",
                   "--cacert", self.pki / "server_ca.pem"]
        return command + (["--cert", self.pki / f"{certificate}.pem", "--key", self.pki / f"{certificate}.key"]
                          if certificate else [])

    def s_client_command(self, name, certificate):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername", name, "-ign_eof",
                   "-CAfile", self.pki / "server_ca.pem", "-verify_return_error"]
        if certificate:
            file = self.pki / f"{certificate}.pem"
            command += ["-cert", file, "-key", file.with_suffix(".key"), "-cert_chain", self.pki / "intermediate.pem"]
        return command

    def session_file(self, name):
        return self.folder / f"{name}.session"

    def keep(self):
        def text(command):
            return "  " + " ".join(str(word) for word in command)
        print(f"The proxy listens on 127.0.0.1:{self.port}, until Ctrl-C. To try by hand, in another terminal:\n")
        print(text(self.curl_command("optional.test", "good")))
        print(text(self.curl_command("required.test", None)))
        request = ["printf", r"'GET / HTTP/1.1\r\nHost: optional.test\r\nConnection: close\r\n\r\n'", "|"]
        session = self.session_file("mine")
        print(text(request + self.s_client_command("optional.test", "good") + ["-sess_out", session]))
        print(text(request + self.s_client_command("optional.test", None) + ["-sess_in", session]))
        print(f"  tail -f {self.folder / 'access.log'}\n\nIts configuration is {self.folder / 'proxy.json'}; the "
              "names are open.test, optional.test, required.test,\nstrict.test and private.test, the certificates good, "
              "expired, revoked and stranger. Change it, and kill -HUP\n"
              f"{self.proxy.process.pid} has it read again.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}: {done.stderr}")
    return done.stdout


def main(program, keep):
    with temporary_folder(prefix="client-tls-demo-") as folder, echo_upstream() as upstream_port:
        demo = Demo(pathlib.Path(program).resolve(), pathlib.Path(folder), upstream_port)
        try:
            demo.show()
            print("Every row is as it should be." if demo.wrong == 0 else f"{demo.wrong} rows are WRONG.", flush=True)
            if keep:
                demo.keep()
        finally:
            exit_code = demo.proxy.stop()
        if exit_code != 0:
            raise RuntimeError(f"the proxy ended with {exit_code}: {demo.proxy.errors}")
    return 1 if demo.wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop in good order, as after Ctrl-C
    sys.exit(main(sys.argv[1], "--keep" in sys.argv[2:]))
