"""Sidecars with a controller: live changes, rotation, loss of the controller."""

import collections
import json
import os
import tempfile
import time

from harness import case
from harness.app import named
from harness.case import EndToEndCase
from harness.certificates import Authority
from harness.client import RawClient
from harness.rogue import RogueController, checksum
from localmesh import manifests
from localmesh.load import Load
from localmesh.waiting import eventually


class ControllerCase(EndToEndCase):
    def shop(self, weights=None, **options):
        """web → orders → inventory v1/v2, started; `orders` is where weights decide."""
        mesh = self.mesh(**options)
        self.inventory = {name: self.app(named(name)) for name in ("inventory-v1", "inventory-v2")}
        mesh.virtual_service("inventory")
        mesh.add("orders", self.app(named("orders")).port, uses=["inventory"])
        for name, app in self.inventory.items():
            mesh.add(name, app.port)
        mesh.routes = [self.split(weights or {"inventory-v1": 90, "inventory-v2": 10})]
        return mesh.start()

    def one_workload(self):
        mesh = self.mesh()
        mesh.add("web", self.app().port)
        return mesh.start()

    @staticmethod
    def split(weights):
        return manifests.split("inventory", "inventory", weights)

    def load(self, mesh, **options):
        return Load(mesh.proxies["orders"].port("outbound"), "inventory", **options)

    def versions(self, mesh):
        return {name: proxy.admin.metrics().sum("mesh_snapshot_version")
                for name, proxy in mesh.proxies.items()}

    @staticmethod
    def rotations(proxy):
        return proxy.admin.json("/certs")["rotations"]


class Distribution(ControllerCase):
    def test_weights_change_live_and_exactly_without_a_failed_request(self):
        mesh = self.shop()
        with self.load(mesh, clients=4) as load:
            load.wait_for(500)
            for v1, v2 in ((50, 50), (0, 100), (99, 1)):
                mesh.apply("routes.yaml", [self.split({"inventory-v1": v1, "inventory-v2": v2})])
                # Requests begun from here on follow the new weights.
                changed = time.monotonic()
                load.wait_for(1000 + 8)
                counts = collections.Counter(
                    outcome.body.decode() for outcome in load.outcomes() if outcome.began >= changed)
                total = sum(counts.values())
                # One of rounding per thousand, and the four whose answers are still under way.
                self.assertLessEqual(
                    abs(counts["inventory-v1"] - total * v1 / 100), 1 + total / 1000 + 4, counts)
        self.assertNoFailures(load)

    def test_a_changed_manifest_is_in_force_within_a_second(self):
        mesh = self.shop()
        with RawClient(mesh.proxies["orders"].port("outbound")) as client:
            for target in ("inventory-v2", "inventory-v1"):
                other = "inventory-v1" if target == "inventory-v2" else "inventory-v2"
                before = self.versions(mesh)["orders"]
                began = time.monotonic()
                mesh.save("routes.yaml", [self.split({target: 1, other: 0})])
                eventually(lambda: self.versions(mesh)["orders"] > before, "it is in force", 5)
                took = time.monotonic() - began
                print(f"      from saved manifest to snapshot in force: {took * 1000:.0f} ms")
                self.assertLess(took, 1.0)
                self.assertEqual(target, client.get("inventory").body.decode())

    def test_a_proxy_sees_only_what_its_workload_uses(self):
        mesh = self.shop()
        with RawClient(mesh.proxies["inventory-v1"].port("outbound")) as client:
            for name in ("inventory", "orders", "inventory-v2"):
                self.assertEqual(404, client.get(name).status, name)
        self.assertNotIn("inventory-v2", json.dumps(mesh.proxies["inventory-v1"].admin.json("/config")))

    def test_bad_manifests_are_refused_whole_and_the_last_good_state_stays(self):
        mesh = self.shop()
        before = self.versions(mesh)
        good = manifests.to_yaml([self.split({"inventory-v1": 0, "inventory-v2": 100})])
        for name, bad in {
                "syntax": good + "---\n  : [",
                "unknown field": good.replace("weight: 100", "weight: 100\n          wieght: 3"),
                "bad range": good.replace("weight: 100", "weight: -1"),
                "dangling reference": good.replace("name: inventory-v2", "name: nowhere"),
                "not supported": good.replace(
                    "  rules:\n    - ", "  hostnames: [orders.example]\n  rules:\n    - ")}.items():
            with self.subTest(name):
                log = len(mesh.controller.log)
                mesh.save("routes.yaml", bad)
                eventually(
                    lambda: [entry for entry in mesh.controller.logged(since=log)
                             if entry.get("level") in ("error", "warning")
                             and "routes.yaml" in json.dumps(entry)],
                    "the controller names the bad file in its log")
                self.assertEqual(before, self.versions(mesh))
                with RawClient(mesh.proxies["orders"].port("outbound")) as client:
                    self.assertEqual(b"inventory-v1", client.get("inventory").body)
        mesh.save("routes.yaml", good)
        eventually(lambda: self.versions(mesh)["orders"] > before["orders"], "good ones count again")

    def test_a_removed_endpoint_gets_no_more_requests_and_none_fails(self):
        mesh = self.mesh()
        apps = [self.app(named("a")), self.app(named("b"))]
        mesh.add("web", self.app().port, uses=["orders"])
        mesh.add("orders", apps[0].port)
        mesh.start()
        with Load(mesh.proxies["web"].port("outbound"), "orders", clients=4) as load:
            load.wait_for(100)
            documents = mesh.service_documents()
            # The successor: the same workload, a second proxy before another app.
            mesh.workloads["orders"].application_port = apps[1].port
            configuration = mesh.configuration("orders", mesh.token("orders", "orders-2.token"))
            configuration["dataDirectory"] += "-2"
            successor = self.proxy("orders-2", configuration)
            for document in documents:
                if document["kind"] == "Service" and document["metadata"]["name"] == "orders":
                    document["spec"]["endpoints"][0]["port"] = successor.port("inbound")
            mesh.apply("services.yaml", documents)
            load.wait_for(200)
            self.assertEqual({b"b"}, {outcome.body for outcome in load.outcomes()[-50:]})
        self.assertNoFailures(load)


class Rotation(ControllerCase):
    def test_certificates_rotate_under_load_without_a_failed_request(self):
        lifetime, rounds = ("20s", 3) if case.is_long else ("8s", 2)
        mesh = self.shop(leaf_lifetime=lifetime)
        before = {name: self.rotations(proxy) for name, proxy in mesh.proxies.items()}
        serials = {name: json.dumps(proxy.admin.json("/certs")) for name, proxy in mesh.proxies.items()}
        with self.load(mesh, clients=4, rate=400) as load:
            for name, proxy in mesh.proxies.items():
                eventually(
                    lambda: self.rotations(proxy) >= before[name] + rounds,
                    f"{name} has rotated {rounds} times", 30 * rounds)
            load.wait_for(50)
        self.assertNoFailures(load)
        for name, proxy in mesh.proxies.items():
            self.assertNotEqual(serials[name], json.dumps(proxy.admin.json("/certs")))

    def test_new_connections_work_after_the_first_certificate_has_expired(self):
        mesh = self.shop(leaf_lifetime="6s")
        began = time.monotonic()
        with RawClient(mesh.proxies["orders"].port("outbound")) as client:
            def asks_anew():
                # The app ends the connection each time, so both proxies have to connect anew.
                for app in self.inventory.values():
                    app.close_connections()
                self.assertEqual(200, client.get("inventory").status)
                return time.monotonic() - began > 7.0
            eventually(asks_anew, "the first certificate is history", 15)


class ControllerLoss(ControllerCase):
    def test_killed_and_restarted_it_costs_no_request_and_takes_up_again(self):
        mesh = self.shop()
        with self.load(mesh, clients=4, rate=400) as load:
            load.wait_for(100)
            mesh.controller.kill()
            load.wait_for(200)
            mesh.start_controller()
            mesh.wait_until_settled()
            mesh.apply("routes.yaml", [self.split({"inventory-v1": 0, "inventory-v2": 1})])
            load.wait_for(50)
            self.assertEqual({b"inventory-v2"}, {outcome.body for outcome in load.outcomes()[-20:]})
        self.assertNoFailures(load)

    def test_certificates_rotate_again_after_the_controller_was_away(self):
        mesh = self.shop(leaf_lifetime="10s")
        mesh.controller.kill()
        mesh.start_controller()
        before = {name: self.rotations(proxy) for name, proxy in mesh.proxies.items()}
        for name, proxy in mesh.proxies.items():
            eventually(lambda: self.rotations(proxy) > before[name], f"{name} has rotated", 20)
        with RawClient(mesh.proxies["orders"].port("outbound")) as client:
            self.assertEqual(200, client.get("inventory").status)

    def test_a_proxy_restarts_without_the_controller(self):
        mesh = self.shop()
        mesh.controller.kill()
        mesh.proxies["orders"].kill()
        proxy = mesh.start_proxy("orders").wait_until_ready()
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(200, client.get("inventory").status)

    def test_a_snapshot_damaged_on_disk_does_not_keep_the_proxy_from_starting(self):
        mesh = self.shop()
        mesh.proxies["orders"].kill()
        directory = mesh.proxies["orders"].configuration["dataDirectory"]
        damaged = [name for name in os.listdir(directory) if "snapshot" in name]
        self.assertTrue(damaged, os.listdir(directory))
        for name in damaged:
            path = os.path.join(directory, name)
            with open(path, "r+b") as file:
                file.truncate(os.path.getsize(path) // 2)
        proxy = mesh.start_proxy("orders").wait_until_ready()
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(200, client.get("inventory").status)

    def test_secrets_on_disk_are_for_their_owner_alone(self):
        mesh = self.shop()
        directories = [mesh.data] + [
            proxy.configuration["dataDirectory"] for proxy in mesh.proxies.values()]
        for directory in directories:
            self.assertEqual(0, os.stat(directory).st_mode & 0o077, directory)
            for folder, _, names in os.walk(directory):
                for path in (os.path.join(folder, name) for name in names):
                    with self.subTest(path):
                        self.assertEqual(0, os.stat(path).st_mode & 0o077)


class RogueControllers(ControllerCase):
    """What a proxy does when something else answers in the controller's place."""

    def _replace_controller(self, mesh, spiffe_id):
        mesh.controller.kill()
        authority = Authority.of_controller(self.directory, mesh.data)
        rogue = RogueController(
            mesh.controller.stream_port,
            authority.issue_chain("controller", names=f"URI:{spiffe_id}"))
        self.addCleanup(rogue.close)
        return rogue

    def test_a_snapshot_that_does_not_decode_is_refused_and_the_old_one_stays(self):
        mesh = self.one_workload()
        proxy = mesh.proxies["web"]
        before = proxy.admin.json("/config")["mesh"]
        rogue = self._replace_controller(mesh, "spiffe://mesh.internal/mesh/controller")
        hello = rogue.message("hello")
        self.assertEqual(before["version"], hello["version"])
        body = json.dumps({**before, "version": before["version"] + 1, "surprise": True})
        rogue.send(type="snapshot", version=before["version"] + 1, previous=before["version"],
                   checksum=checksum(body), body=body)
        nack = rogue.message("nack")
        self.assertEqual(before["version"] + 1, nack["version"])
        self.assertIn("surprise", nack["reason"])
        self.assertEqual(before, proxy.admin.json("/config")["mesh"])
        self.assertTrue(proxy.admin.is_ready())

    def test_a_workload_cannot_pose_as_the_controller(self):
        mesh = self.one_workload()
        proxy = mesh.proxies["web"]
        log = len(proxy.log)
        rogue = self._replace_controller(mesh, "spiffe://mesh.internal/ns/default/sa/web")
        eventually(
            lambda: [entry for entry in proxy.logged(since=log)
                     if "spiffe://mesh.internal/mesh/controller" in json.dumps(entry)],
            "the proxy says whom it expected")
        self.assertEqual([], rogue.received)
        self.assertTrue(proxy.admin.is_ready())


class Enrolment(ControllerCase):
    def test_a_token_is_good_for_one_enrolment(self):
        mesh = self.one_workload()
        token = mesh.token("web", "second.token")
        for name, expected in (("first", True), ("again", False)):
            configuration = mesh.configuration("web", token)
            configuration["dataDirectory"] += "-" + name
            proxy = self.proxy(name, configuration, ready=False)
            if expected:
                proxy.wait_until_ready()
            else:
                eventually(
                    lambda: [entry for entry in proxy.logged() if "token" in json.dumps(entry).lower()
                             and entry.get("level") in ("warning", "error")],
                    "the refusal is logged with its reason")
                self.assertFalse(proxy.logged("ready"))

    def test_an_expired_token_is_refused(self):
        mesh = self.one_workload()
        token = mesh.token("web", "short.token", ttl="1s")
        with open(token) as file:
            expires = json.load(file)["expires"]
        eventually(
            lambda: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 1)) > expires[:19],
            "the token has expired", 10)
        configuration = mesh.configuration("web", token)
        configuration["dataDirectory"] += "-late"
        proxy = self.proxy("late", configuration, ready=False)
        eventually(
            lambda: [entry for entry in proxy.logged() if "expired" in json.dumps(entry).lower()],
            "the refusal says that it expired")

    def test_a_token_file_is_for_its_owner_alone(self):
        mesh = self.one_workload()
        self.assertEqual(0, os.stat(mesh.token("web", "own.token")).st_mode & 0o077)

    def test_no_token_for_a_workload_nobody_declared(self):
        mesh = self.one_workload()
        status, output, errors = mesh.meshctl(
            "token", "create", "--workload", "stranger", "--out",
            os.path.join(mesh.directory, "stranger.token"), check=False)
        self.assertNotEqual(0, status)
        self.assertIn("stranger", output + errors)


class Meshctl(ControllerCase):
    def test_status_shows_each_proxy_with_acknowledged_version_and_expiry(self):
        mesh = self.shop()
        rows = {row["workload"]: row for row in mesh.status()["proxies"]}
        versions = self.versions(mesh)
        for name in mesh.proxies:
            row = rows[f"spiffe://mesh.internal/ns/default/sa/{name}"]
            self.assertEqual(versions[name], row["acknowledgedVersion"])
            self.assertTrue(row["isUpToDate"], row)
            self.assertTrue(row["certificateNotAfter"])
        text = mesh.meshctl("status")[1]
        for name in mesh.proxies:
            self.assertIn(name, text)

    def test_apply_refuses_a_bad_file_and_names_the_place(self):
        mesh = self.shop()
        before = self.versions(mesh)
        mesh.apply("routes.yaml", [self.split({"inventory-v1": 1, "nowhere": 1})], check=False)
        status, output, errors = mesh.last_apply
        self.assertNotEqual(0, status)
        self.assertIn("nowhere", output + errors)
        self.assertRegex(output + errors, r"routes\.yaml:\d+")
        self.assertEqual(before, self.versions(mesh))

    def test_apply_without_a_controller_fails_and_says_so(self):
        mesh = self.shop()
        mesh.controller.kill()
        mesh.apply("routes.yaml", [self.split({"inventory-v1": 1})], check=False)
        status, output, errors = mesh.last_apply
        self.assertNotEqual(0, status)
        self.assertIn("operator.sock", output + errors)

    def _validate(self, **files):
        """What validate says of a directory of these."""
        directory = tempfile.mkdtemp(dir=self.directory)
        for name, documents in files.items():
            manifests.save(os.path.join(directory, f"{name}.yaml"), documents)
        status, output, errors = self.command("meshctl", "validate", directory, check=False)
        self.assertNotEqual(0, status)
        return output + errors

    def test_validate_shows_all_wrong_values_of_all_files(self):
        bad_service = manifests.service("orders", "orders", [0])
        bad_service["spec"]["protcol"] = "http"
        said = self._validate(a=[manifests.mesh("1s")], b=[bad_service])
        for part in ("a.yaml", "leafLifetime", "1s", "b.yaml", "port", "protcol"):
            self.assertIn(part, said)

    def test_validate_shows_all_references_to_nothing(self):
        said = self._validate(
            a=[manifests.workload("web", uses=["ghost"])],
            b=[manifests.service("orders", "nobody", [8080])])
        for part in ("a.yaml", "ghost", "b.yaml", "nobody"):
            self.assertIn(part, said)

    def test_a_printed_snapshot_runs_a_static_proxy(self):
        directory = os.path.join(self.directory, "static")
        os.mkdir(directory)
        app = self.app(named("orders"))
        orders = manifests.service("orders", None, [app.port], security="plaintext")
        manifests.save(os.path.join(directory, "mesh.yaml"), [
            manifests.mesh(), orders, manifests.workload("web", uses=["orders"])])
        _, output, _ = self.command("meshctl", "snapshot", "--workload", "web", "--manifests", directory)
        proxy = self.proxy("web", {
            "outbound": {"address": "127.0.0.1", "port": 0}, "mesh": json.loads(output)})
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(b"orders", client.get("orders").body)
