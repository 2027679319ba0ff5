"""Which endpoint a request goes to: by a hash of it, by nearness, and slowly to a new one."""

import collections
import contextlib
import http.client
import itertools

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient
from harness.policies import PlainMesh, plain_service, traffic_policy
from localmesh.waiting import eventually
from resilience.processes import Caller

KEYS = [f"user-{number}" for number in range(400)]


class Hashes(PlainMesh, EndToEndCase):
    """Requests with the same key go to the same endpoint, whichever worker has them."""

    def apps_named(self, count):
        return [self.app(named(str(number))) for number in range(count)]

    @contextlib.contextmanager
    def connections(self, proxy, count=6):
        """So many that both workers have some, in turn."""
        with contextlib.ExitStack() as stack:
            yield itertools.cycle([
                stack.enter_context(RawClient(proxy.port("outbound"))) for _ in range(count)])

    def served(self, turns, keys=KEYS):
        """Who serves each key."""
        return {key: next(turns).get("orders", "/", f"X-User: {key}").body.decode()
                for key in keys}

    def moved(self, before, after, gone):
        """The share of keys which changed their endpoint though it is still there."""
        stayed = [key for key in KEYS if before[key] != gone]
        return sum(before[key] != after[key] for key in stayed) / len(stayed)

    def _lose_and_regain_an_endpoint(self, algorithm, moved_max):
        apps = self.apps_named(4)
        ports, weights = [app.port for app in apps], (1, 1, 2, 1)
        policy = traffic_policy("orders", "orders", loadBalancing={
            "algorithm": algorithm, "hash": {"header": "x-user"}})
        mesh = self.plain_mesh(plain_service("orders", ports, weights), policy, workers=2)
        with self.connections(mesh.proxies["web"]) as turns:
            before = self.served(turns)
            self.assertEqual(before, self.served(turns), "a key changes its endpoint by itself")
            counts = collections.Counter(before.values())
            for name, weight in zip("0123", weights):
                # Five times the deviation of chance.
                expected = len(KEYS) * weight / sum(weights)
                self.assertAlmostEqual(expected, counts[name], delta=5 * expected ** 0.5)
            self.replace(mesh, plain_service("orders", ports[:3], weights[:3]), policy)
            after = self.served(turns)
            self.assertNotIn("3", after.values())
            moved = self.moved(before, after, gone="3")
            print(f"      {dict(counts)}; without one of them {moved:.1%} of the others' keys move")
            self.assertLessEqual(moved, moved_max)
            self.replace(mesh, plain_service("orders", ports, weights), policy)
            self.assertEqual(before, self.served(turns), "everybody is back where he was")

    def test_a_ring_moves_only_the_keys_of_an_endpoint_that_is_removed(self):
        self._lose_and_regain_an_endpoint("ringHash", moved_max=0)

    def test_maglev_moves_little_more_than_the_keys_of_an_endpoint_that_is_removed(self):
        self._lose_and_regain_an_endpoint("maglev", moved_max=0.1)

    def hashing_proxy(self, algorithm, source, count=4, **cluster):
        apps = self.apps_named(count)
        return apps, self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", *(app.port for app in apps), balancing={
                "algorithm": algorithm, "hash": source}, **cluster)], workers=2)

    def test_a_request_without_the_key_goes_somewhere(self):
        for algorithm in ("ringHash", "maglev"):
            with self.subTest(algorithm):
                _, proxy = self.hashing_proxy(algorithm, {"header": "x-user"})
                with self.connections(proxy) as turns:
                    answers = [next(turns).get("orders") for _ in range(100)]
                self.assertEqual({200}, {answer.status for answer in answers})
                self.assertGreater(len({answer.body for answer in answers}), 1)

    def test_the_key_may_be_a_cookie_or_the_path(self):
        requests = {
            "path": lambda key: (f"/of/{key}?at={key}",),
            "cookie": lambda key: ("/", f"Cookie: a=b; session={key}; c=d")}
        for name, source in (("path", "path"), ("cookie", {"cookie": "session"})):
            with self.subTest(name):
                _, proxy = self.hashing_proxy("ringHash", source)
                with self.connections(proxy) as turns:
                    rounds = [[next(turns).get("orders", *requests[name](key)).body
                               for key in KEYS[:60]] for _ in range(2)]
                self.assertEqual(*rounds)
                self.assertGreater(len(set(rounds[0])), 1)

    def test_the_key_may_be_the_callers_address(self):
        _, proxy = self.hashing_proxy("maglev", "address")
        addresses = [f"127.0.0.{last}" for last in range(1, 41)]

        def served_by(address):
            connection = http.client.HTTPConnection(
                "127.0.0.1", proxy.port("outbound"), source_address=(address, 0), timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", "/", headers={"Host": "orders"})
                return connection.getresponse().read()
        first = {address: served_by(address) for address in addresses}
        self.assertEqual(first, {address: served_by(address) for address in reversed(addresses)})
        self.assertGreater(len(set(first.values())), 1)

    def test_a_key_whose_endpoint_is_dead_is_served_by_another_and_returns(self):
        apps, proxy = self.hashing_proxy("ringHash", {"header": "x-user"}, healthCheck={
            "kind": {"http": "/"}, "interval": "50ms", "failuresMax": 1, "successesMin": 1})
        with self.connections(proxy) as turns:
            before = self.served(turns)
            apps[0].stop()
            during = self.served(turns)
            self.assertNotIn("0", during.values())
            self.assertEqual(0, self.moved(before, during, gone="0"))
            apps[0].start()
            eventually(lambda: self.served(turns) == before, "everybody is back where he was")


class Nearness(EndToEndCase):
    """Zone, then region, then elsewhere, as far as the health of each goes."""

    PLACES = {"zone-1": ("eu", "a"), "zone-2": ("eu", "a"), "region": ("eu", "b"),
              "elsewhere": ("us", "a")}

    def setUp(self):
        super().setUp()
        self.by_name = {name: self.app(named(name)) for name in self.PLACES}
        cluster = {"name": "o", "security": "plaintext",
                   # Who is out is told by health checks; and however few are left, none is panic.
                   "outlierDetection": {"panicBelow": "0%"},
                   "healthCheck": {"kind": {"http": "/"}, "interval": "50ms", "failuresMax": 1,
                                   "successesMin": 1},
                   "endpoints": [
                       {"address": snapshots.address(self.by_name[name].port),
                        "locality": {"region": region, "zone": zone}}
                       for name, (region, zone) in self.PLACES.items()]}
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])], [cluster],
            mesh={"locality": {"region": "eu", "zone": "a"}})
        self.client = RawClient(proxy.port("outbound"))
        self.addCleanup(self.client.socket.close)

    def parts(self, count=400):
        """The share of each endpoint, all of which answer."""
        answers = [self.client.get("orders") for _ in range(count)]
        self.assertEqual({200}, {answer.status for answer in answers})
        return collections.Counter(answer.body.decode() for answer in answers)

    def expect(self, *names):
        """Waits until these share the requests, and nobody else has any."""
        eventually(lambda: set(self.parts(50)) == set(names), f"only {names} are asked")

    def test_requests_travel_only_as_far_as_the_health_of_the_near_ones_demands(self):
        self.assertEqual({"zone-1", "zone-2"}, set(self.parts()))
        self.by_name["zone-1"].stop()
        self.expect("zone-2", "region")
        # Half of the zone is healthy; times 1.4 it covers seven tenths of the requests.
        parts = self.parts()
        self.assertAlmostEqual(0.7, parts["zone-2"] / parts.total(), delta=0.12)
        self.by_name["zone-2"].stop()
        self.expect("region")
        self.by_name["region"].stop()
        self.expect("elsewhere")
        for name in ("region", "zone-2"):
            self.by_name[name].start()
        self.expect("zone-2", "region")
        self.by_name["zone-1"].start()
        self.expect("zone-1", "zone-2")


class SlowStart(PlainMesh, EndToEndCase):
    RATE, WINDOW_SECONDS = 200, 4.0

    def _add_an_endpoint(self, algorithm):
        apps = [self.app(named(str(number))) for number in range(4)]
        ports = [app.port for app in apps]
        policy = traffic_policy("orders", "orders", loadBalancing={
            "algorithm": algorithm, "slowStart": {
                "window": f"{self.WINDOW_SECONDS:.0f}s", "weightMin": "10%"}})
        mesh = self.plain_mesh(plain_service("orders", ports[:3]), policy, workers=2)
        caller = Caller(mesh.proxies["web"].port("outbound"), self.RATE)
        self.addCleanup(caller.stop)
        caller.wait_for(100)
        self.replace(mesh, plain_service("orders", ports), policy)
        apps[3].wait_for_requests(1)
        caller.wait_for(int(self.RATE * (self.WINDOW_SECONDS + 2.5)), 60)
        outcomes = caller.finish()
        self.assertEqual([], [outcome for outcome in outcomes if outcome.failed][:5])
        return outcomes

    def _judge(self, outcomes):
        """Its part of the requests of each second of the window, of a fair one."""
        first = min(outcome.due for outcome in outcomes if outcome.who == "3")
        parts = []
        for second in range(int(self.WINDOW_SECONDS) + 2):
            whose = [outcome.who for outcome in outcomes
                     if second <= outcome.due - first < second + 1]
            parts.append(4 * whose.count("3") / len(whose))
        print("      its part, second by second: " + " ".join(f"{part:.2f}" for part in parts))
        self.assertLess(parts[0], 0.5, "it is overrun")
        self.assertLess(parts[0], parts[2])
        self.assertLess(parts[1], parts[3])
        self.assertGreater(parts[-1], 0.5, "it never gets its part")
        return parts

    def test_a_new_endpoint_gets_its_part_little_by_little_when_in_turn(self):
        parts = self._judge(self._add_an_endpoint("roundRobin"))
        self.assertAlmostEqual(1, parts[-1], delta=0.15)

    def test_a_new_endpoint_gets_its_part_little_by_little_when_the_better_is_taken(self):
        self._judge(self._add_an_endpoint("leastRequest"))
