"""HTTP/1.1 semantics through both proxies: what arrives is what was sent, minus what RFC 9110 and
9112 tell an intermediary to remove."""

import hashlib
import json
import threading

from harness.case import EndToEndCase
from harness.client import RawClient, request


class Messages(EndToEndCase):
    def test_the_case_of_field_names_is_kept_both_ways(self):
        def handler(exchange):
            exchange.read_body()
            exchange.send(b"HTTP/1.1 200 OK\r\nx-LOWER-upper: A\r\nETag: q\r\nContent-Length: 0\r\n\r\n")
        app, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            response = client.get("orders", "/", "X-MixED-case: 1", "user-AGENT: u")
        self.assertLessEqual({b"X-MixED-case", b"user-AGENT"}, set(app.requests[0].names()))
        self.assertLessEqual({b"x-LOWER-upper", b"ETag"}, set(response.names()))

    def test_hop_by_hop_fields_are_removed_both_ways(self):
        def handler(exchange):
            exchange.send(
                b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Mine\r\nX-Mine: secret\r\n"
                b"Keep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\nX-Kept: 1\r\n"
                b"Content-Length: 0\r\n\r\n")
        app, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            response = client.get(
                "orders", "/", "Connection: keep-alive, X-Private", "X-Private: secret",
                "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers, deflate",
                "Proxy-Authorization: Basic Zm9v", "X-Kept: 1")
        request_seen = app.requests[0]
        for name in ("X-Private", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"):
            self.assertEqual([], request_seen.values(name), name)
        self.assertEqual("1", request_seen.value("X-Kept"))
        for name in ("X-Mine", "Keep-Alive", "Proxy-Authenticate"):
            self.assertEqual([], response.values(name), name)
        self.assertEqual("1", response.value("X-Kept"))

    def test_repeated_fields_keep_their_order(self):
        def handler(exchange):
            exchange.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
                          b"Content-Length: 0\r\n\r\n")
        app, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            response = client.get("orders", "/", "Accept: a", "Accept: b")
        self.assertEqual(["a", "b"], app.requests[0].values("Accept"))
        self.assertEqual(["a=1", "b=2"], response.values("Set-Cookie"))

    def test_an_unknown_status_passes(self):
        # HTTP/2 between the proxies has no reason phrase (RFC 9113 §8.3.2).
        _, web, _ = self.two_hops(
            lambda exchange: exchange.send(b"HTTP/1.1 299 Odd But Fine\r\nContent-Length: 0\r\n\r\n"))
        with RawClient(web.port("outbound")) as client:
            self.assertEqual(b"HTTP/1.1 299 ", client.get("orders").first_line)

    def test_a_head_request_gets_the_length_and_no_body(self):
        _, web, _ = self.two_hops(lambda exchange: exchange.reply(200, b"twelve bytes"))
        with RawClient(web.port("outbound")) as client:
            response = client.exchange(request("HEAD", "orders"))
            self.assertEqual(("12", b""), (response.value("Content-Length"), response.body))
            self.assertEqual(b"twelve bytes", client.get("orders").body)

    def test_204_and_304_have_no_body_and_the_connection_goes_on(self):
        statuses = iter([b"204 No Content", b"304 Not Modified"])
        def handler(exchange):
            exchange.send(b"HTTP/1.1 " + next(statuses, b"200 OK\r\nContent-Length: 0") + b"\r\n\r\n")
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            self.assertEqual([204, 304, 200], [client.get("orders").status for _ in range(3)])

    def test_chunks_and_trailers_pass_both_ways(self):
        def handler(exchange):
            body = exchange.read_body()
            exchange.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                + b"%x\r\n%s\r\n0\r\nX-Sum: 42\r\n\r\n" % (len(body), body))
        app, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            client.send(request("POST", "orders", "/", "Transfer-Encoding: chunked", "TE: trailers"))
            for chunk in (b"5;ext=1\r\nhello\r\n", b"1\r\n \r\n", b"5\r\nworld\r\n",
                          b"0\r\nX-Check: abc\r\n\r\n"):
                client.send(chunk)
            response = client.response()
        self.assertEqual(b"hello world", response.body)
        # Names of trailers are in lower case on the HTTP/2 hop, and stay so.
        self.assertEqual([("x-sum", "42")], response.trailers)
        self.assertEqual([("x-check", "abc")], app.requests[0].trailers)

    def test_a_body_until_close_arrives_whole(self):
        def handler(exchange):
            exchange.send(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 300_000)
            exchange.close()
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            response = client.get("orders")
        self.assertEqual((200, 300_000), (response.status, len(response.body)))

    def test_a_body_cut_short_by_the_app_is_not_passed_off_as_complete(self):
        for framing, part in ((b"Content-Length: 1000", b"only this"),
                              (b"Transfer-Encoding: chunked", b"9\r\nonly this\r\n")):
            with self.subTest(framing):
                head_seen = threading.Event()
                def handler(exchange):
                    exchange.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + part)
                    head_seen.wait(10)
                    exchange.close()
                _, proxy = self.plain_hop(handler)
                with RawClient(proxy.port("outbound")) as client:
                    head = client.send(request("GET", "orders")).reader.head()
                    self.assertEqual(200, head.status)
                    head_seen.set()
                    with self.assertRaisesRegex(AssertionError, "end of stream|reset"):
                        list(client.reader.chunks(head, is_response=True))

    def test_pipelined_requests_are_answered_in_order(self):
        _, web, _ = self.two_hops()
        with RawClient(web.port("outbound")) as client:
            client.send(b"".join(
                request("POST", "orders", f"/{i}", body=b"b" * i) for i in range(20)))
            seen = [json.loads(client.response().body) for _ in range(20)]
        self.assertEqual([(f"/{i}", i) for i in range(20)], [(s["target"], s["length"]) for s in seen])

    def test_expect_100_continue_is_answered_only_when_the_app_continues(self):
        asked = threading.Event()
        def handler(exchange):
            self.assertEqual("100-continue", exchange.request.value("Expect"))
            asked.set()
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            exchange.reply(200, exchange.read_body())
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            client.send(request("PUT", "orders", "/", "Expect: 100-continue", "Content-Length: 4"))
            self.assertEqual(100, client.reader.head().status)
            self.assertTrue(asked.is_set())
            response = client.send(b"body").response()
        self.assertEqual((200, b"body"), (response.status, response.body))

    def test_a_final_answer_instead_of_100_continue_passes(self):
        def handler(exchange):
            exchange.send(b"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\n"
                          b"Content-Length: 0\r\n\r\n")
            exchange.close()
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            client.send(request("PUT", "orders", "/", "Expect: 100-continue", "Content-Length: 4"))
            self.assertEqual(417, client.response().status)

    def test_interim_responses_pass_before_the_final_one(self):
        def handler(exchange):
            exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </s>; rel=preload\r\n\r\n" * 2)
            exchange.reply(200, b"done")
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            response = client.get("orders")
        self.assertEqual([103, 103], [interim.status for interim in response.interim])
        self.assertEqual("</s>; rel=preload", response.interim[0].value("Link"))
        self.assertEqual(b"done", response.body)

    def test_an_http_1_0_client_gets_a_whole_body_and_the_end(self):
        def handler(exchange):
            exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            client.send(b"GET / HTTP/1.0\r\nHost: orders\r\n\r\n")
            response = client.response()
            self.assertEqual(b"abcdef", response.body)
            self.assertEqual([], response.values("Transfer-Encoding"))

    def test_connection_close_ends_the_connection_after_the_answer(self):
        _, web, _ = self.two_hops()
        with RawClient(web.port("outbound")) as client:
            self.assertEqual(200, client.get("orders", "/", "Connection: close").status)
            self.assertTrue(client.is_closed())

    def test_an_answer_before_the_request_is_complete_passes(self):
        def handler(exchange):
            exchange.send(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
                          b"Content-Length: 3\r\n\r\nbig")
            exchange.close()
        _, web, _ = self.two_hops(handler)
        with RawClient(web.port("outbound")) as client:
            client.send(request("POST", "orders", "/", "Content-Length: 100000") + b"x" * 10)
            response = client.response()
        self.assertEqual((413, b"big"), (response.status, response.body))

    def test_an_unknown_upgrade_is_ignored(self):
        app, web, _ = self.two_hops()
        with RawClient(web.port("outbound")) as client:
            response = client.get("orders", "/", "Connection: Upgrade", "Upgrade: h2c, unheard/9")
        self.assertEqual(200, response.status)
        self.assertEqual([], app.requests[0].values("Upgrade"))

    def test_bodies_of_every_size_around_buffer_bounds_arrive_unchanged(self):
        _, web, _ = self.two_hops()
        with RawClient(web.port("outbound")) as client:
            for size in (0, 1, 1023, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537,
                         1_000_003):
                body = bytes(i * 31 % 251 for i in range(size))
                seen = json.loads(client.exchange(request("POST", "orders", "/", body=body)).body)
                self.assertEqual(
                    (size, hashlib.sha256(body).hexdigest()), (seen["length"], seen["sha256"]))
