"""Canaries that run themselves: by the proxies' own counters, with real traffic."""

import collections
import json

from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient
from localmesh import manifests
from localmesh.load import Load
from localmesh.processes import Admin
from localmesh.waiting import eventually


def failing(share):
    """A handler that fails this share of its requests, evenly."""
    turns = collections.Counter()

    def answer(exchange):
        exchange.read_body()
        turns["all"] += 1
        is_failure = int(turns["all"] * share) > int((turns["all"] - 1) * share)
        exchange.reply(500 if is_failure else 200, b"orders-v2")
    return answer


class CanaryCase(EndToEndCase):
    def shop(self, version=named("orders-v2"), **canary):
        """web → orders, with a canary to orders-v2."""
        mesh = self.mesh()
        mesh.add("web", self.app().port, uses=["orders"])
        mesh.add("orders", self.app(named("orders")).port)
        mesh.add("orders-v2", self.app(version).port)
        mesh.start()
        self.spec = {"steps": ["20%", "50%"], "interval": "1s", "minimumSample": 20, **canary}
        self.apply(mesh)
        # Counting begins with a proxy's first report; what tests count exactly comes after it.
        eventually(lambda: self.canary(mesh)["proxies"] == 1, "web's proxy reports")
        return mesh

    def apply(self, mesh, **more):
        self.spec.update(more)
        mesh.apply("canary.yaml", [manifests.canary("orders", "orders", "orders-v2", **self.spec)])

    def load(self, mesh, rate=200, **options):
        return Load(mesh.proxies["web"].port("outbound"), "orders", rate=rate, **options)

    def canary(self, mesh, word="status", *options):
        """What meshctl says of the canary after this word."""
        said = json.loads(mesh.meshctl("canary", word, "orders", "--json", *options)[1])
        return said[0] if word == "status" else said

    @staticmethod
    def decision(mesh, action, since=0, seconds=20):
        return mesh.controller.wait_for_log("canary", since=since, seconds=seconds, action=action)

    @staticmethod
    def moves(said):
        """What was decided; without holds, since numbers of a short interval may come late."""
        actions = [event["action"] for event in said["events"]]
        return [action for action in actions if action != "held"]

    @staticmethod
    def answers(load, since=0):
        return collections.Counter(outcome.body.decode() for outcome in load.outcomes(since))

    def only(self, load, name):
        """Waits until all answers come from there."""
        def are_all():
            seen = load.count()
            load.wait_for(100)
            # The first of them may have begun before.
            return set(self.answers(load, seen + 8)) == {name}
        eventually(are_all, f"all answers come from {name}")


class Runs(CanaryCase):
    def test_a_good_canary_goes_step_by_step_and_is_promoted(self):
        mesh = self.shop()
        with self.load(mesh) as load:
            self.decision(mesh, "advanced")
            load.wait_for(20)
            seen = load.count()
            load.wait_for(100)
            half = self.answers(load, seen)
            self.assertAlmostEqual(0.5, half["orders-v2"] / half.total(), delta=0.1)
            promoted = self.decision(mesh, "promoted")
            self.assertRegex(promoted["reason"], r"canary 100 % of \d+, baseline 100 % of \d+")
            self.only(load, "orders-v2")
        self.assertNoFailures(load)
        said = self.canary(mesh)
        self.assertEqual(("promoted", 1), (said["phase"], said["share"]))
        self.assertEqual(["advanced", "promoted"], self.moves(said))

    def test_a_bad_canary_goes_back_before_its_interval_is_over(self):
        mesh = self.shop(version=failing(0.5), interval="10m")
        with self.load(mesh) as load:
            event = self.decision(mesh, "rolledBack")
            self.assertRegex(event["reason"], r"worse by more than 1 %: rolled back")
            self.only(load, "orders")
        failures = load.failures()
        self.assertLess(len(failures), 200, "a canary of 20 % was seen for seconds")
        said = self.canary(mesh)
        self.assertEqual(("rolledBack", 0), (said["phase"], said["share"]))
        text = mesh.meshctl("canary", "status")[1]
        self.assertIn("orders.default: rolled back, step 1 of 2, 0 % of orders", text)

    def test_thin_traffic_holds_and_enough_of_it_decides(self):
        mesh = self.shop(minimumSample=50)
        with RawClient(mesh.proxies["web"].port("outbound")) as client:
            for _ in range(10):
                self.assertEqual(200, client.get("orders").status)
        event = self.decision(mesh, "held")
        self.assertIn("fewer than 50 requests on a side: held", event["reason"])
        # What was counted comes in once a second.
        eventually(lambda: self.canary(mesh)["baseline"]["requests"] == 8, "8 of 10 are counted")
        said = self.canary(mesh)
        self.assertEqual((2, 1), (said["canary"]["requests"], said["step"]))
        self.assertIsNotNone(said["heldSeconds"])
        with self.load(mesh):
            self.decision(mesh, "advanced")

    def test_it_goes_on_in_its_step_after_the_controller_was_killed(self):
        mesh = self.shop(interval="3s")
        with self.load(mesh) as load:
            self.decision(mesh, "advanced")
            run = self.canary(mesh)["run"]
            mesh.controller.kill()
            load.wait_for(200)
            mesh.start_controller()
            mesh.wait_until_settled()
            said = self.canary(mesh)
            self.assertEqual((run, 2, 0.5), (said["run"], said["step"], said["share"]))
            self.decision(mesh, "promoted")
            self.only(load, "orders-v2")
        self.assertNoFailures(load)
        # Once each: not a step was taken twice.
        self.assertEqual(["advanced", "promoted"], self.moves(self.canary(mesh)))

    def test_a_killed_controller_does_not_bring_a_rolled_back_canary_to_life(self):
        mesh = self.shop(version=failing(1.0), interval="10m")
        with self.load(mesh) as load:
            self.decision(mesh, "rolledBack")
            mesh.controller.kill()
            mesh.start_controller()
            mesh.wait_until_settled()
            self.only(load, "orders")
            self.assertEqual("rolledBack", self.canary(mesh)["phase"])

    def test_testers_meet_the_canary_always_and_are_not_counted(self):
        mesh = self.shop(interval="10m", forceHeader={"name": "X-Canary", "value": "always"})
        with RawClient(mesh.proxies["web"].port("outbound")) as client:
            for _ in range(30):
                self.assertEqual(b"orders-v2", client.get("orders", "/", "X-Canary: always").body)
            for _ in range(10):
                client.get("orders", "/", "X-Canary: no")
        eventually(lambda: self.canary(mesh)["baseline"]["requests"] == 8, "others are counted")
        self.assertEqual(2, self.canary(mesh)["canary"]["requests"])


    def test_a_sticky_canary_keeps_each_user_on_a_version(self):
        mesh = self.shop(interval="10m", steps=["50%"], sticky={"header": "X-User"})
        seen = {}
        with RawClient(mesh.proxies["web"].port("outbound")) as client:
            for turn in range(3):
                for user in range(20):
                    body = client.get("orders", "/", f"X-User: user-{user}").body
                    self.assertEqual(seen.setdefault(user, body), body, f"turn {turn}")
        self.assertEqual({b"orders", b"orders-v2"}, set(seen.values()))

    def test_a_restarted_proxy_is_not_counted_twice(self):
        mesh = self.shop(interval="10m")

        def ask(count):
            with RawClient(mesh.proxies["web"].port("outbound")) as client:
                for _ in range(count):
                    client.get("orders")

        def counted(count):
            said = self.canary(mesh)
            return said["canary"]["requests"] + said["baseline"]["requests"] == count
        ask(20)
        eventually(lambda: counted(20), "the first 20 are counted")
        mesh.proxies["web"].kill()
        mesh.start_proxy("web").wait_until_ready()
        mesh.wait_until_settled()
        eventually(lambda: self.canary(mesh)["proxies"] == 1, "the new process reports")
        ask(10)
        eventually(lambda: counted(30), "10 more are counted")


class Operator(CanaryCase):
    def test_an_operator_pauses_resumes_promotes_and_aborts(self):
        mesh = self.shop(interval="10m")
        with self.load(mesh) as load:
            self.assertEqual("paused", self.canary(mesh, "pause")["phase"])
            self.assertEqual("running", self.canary(mesh, "resume")["phase"])
            self.assertEqual("promoted", self.canary(mesh, "promote")["phase"])
            self.only(load, "orders-v2")
            # A changed manifest is another run.
            run = self.canary(mesh)["run"]
            self.apply(mesh, revision="second")
            said = self.canary(mesh)
            self.assertGreater(said["run"], run)
            self.assertEqual(("running", 0.2), (said["phase"], said["share"]))
            self.assertEqual("rolledBack", self.canary(mesh, "abort")["phase"])
            self.only(load, "orders")
        self.assertNoFailures(load)
        status, output, errors = mesh.meshctl("canary", "promote", "orders", check=False)
        self.assertNotEqual(0, status)
        self.assertIn("has been rolled back", output + errors)

    def test_a_canary_that_does_not_exist_is_named(self):
        mesh = self.shop()
        for word in ("status", "pause"):
            status, output, errors = mesh.meshctl("canary", word, "order", check=False)
            self.assertNotEqual(0, status)
            self.assertIn("there is no Canary order", output + errors)

    def test_a_removed_canary_leaves_the_routes_as_they_were(self):
        mesh = self.shop(interval="10m")
        with self.load(mesh) as load:
            mesh.apply("canary.yaml", [])
            self.only(load, "orders")
        self.assertNoFailures(load)
        self.assertEqual("no canaries", mesh.meshctl("canary", "status")[1].strip())

    def test_metrics_show_share_and_decisions(self):
        mesh = self.shop(version=failing(1.0), interval="10m")
        with self.load(mesh):
            self.decision(mesh, "rolledBack")
        metrics = Admin(mesh.controller.web_port).metrics()
        self.assertEqual(0, metrics.sum("mesh_controller_canary_share", canary="orders.default"))
        self.assertEqual(
            1, metrics.sum("mesh_controller_canary_decisions_total", action="rolledBack"))
        self.assertEqual(
            1, metrics.sum("mesh_controller_canary_phase", phase="rolledBack"))
