"""The hand tool on policies: what holds by default, and what a policy would do before it is applied."""

import json
import os
import shutil
import xml.etree.ElementTree

from harness.case import EndToEndCase

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "mesh-config")


class Commands(EndToEndCase):
    def meshctl(self, *arguments, check=True):
        return self.command("meshctl", *arguments, check=check)

    def test_the_manifest_of_all_defaults_changes_nothing(self):
        directory = os.path.join(self.directory, "manifests")
        shutil.copytree(os.path.join(EXAMPLES, "demo"), directory)
        os.remove(os.path.join(directory, "mesh.yaml"))

        def snapshots():
            self.meshctl("validate", directory)
            return [json.loads(self.meshctl(
                "snapshot", "--workload", workload, "--manifests", directory)[1])
                for workload in ("web", "orders")]
        before = snapshots()
        text = self.meshctl("defaults", "-o", "yaml")[1]
        with open(os.path.join(directory, "mesh.yaml"), "w") as file:
            file.write(text)
        self.assertEqual(before, snapshots())
        # The table has a line for each of them.
        lines = self.meshctl("defaults")[1].splitlines()
        fields = [line.split()[0] for line in lines if line.startswith("spec.")]
        self.assertEqual(len(set(fields)), len(fields))
        for field in fields:
            self.assertIn(f"{field.split('.')[-1]}:", text)

    def simulate(self, *options, scenario="bad-endpoint.yaml", check=True):
        return self.meshctl(
            "simulate", "--manifests", os.path.join(EXAMPLES, "scenarios", "shop"), "--scenario",
            os.path.join(EXAMPLES, "scenarios", scenario), *options, check=check)

    def test_a_scenario_is_played_with_and_without_the_policies(self):
        plot = os.path.join(self.directory, "plot.svg")
        for scenario in ("bad-endpoint.yaml", "rush.yaml"):
            with self.subTest(scenario):
                text = self.simulate("--svg", plot, scenario=scenario)[1]
                self.assertIn("success rate", text)
                root = xml.etree.ElementTree.parse(plot).getroot()
                self.assertTrue(root.tag.endswith("svg"))
                self.assertGreater(len(list(root.iter())), 20)

    def test_a_seed_plays_the_same_again_and_the_policies_help(self):
        first = json.loads(self.simulate("--seed", "7", "--json")[1])
        self.assertEqual(first, json.loads(self.simulate("--seed", "7", "--json")[1]))
        other = json.loads(self.simulate("--seed", "8", "--json")[1])
        self.assertNotEqual(first["withPolicy"], other["withPolicy"])
        for play in (first, other):
            rates = [play[side]["loads"][0]["successRate"] for side in ("withPolicy", "withoutPolicy")]
            self.assertGreater(rates[0], 0.99)
            self.assertLess(rates[1], rates[0])

    def test_mistakes_of_a_scenario_are_told_with_their_place(self):
        path = os.path.join(self.directory, "scenario.yaml")
        with open(path, "w") as file:
            file.write("duration: 10s\nworkers: 0\ncallers: [{workload: web, hots: orders}]\n")
        status, _, error = self.meshctl(
            "simulate", "--manifests", os.path.join(EXAMPLES, "scenarios", "shop"), "--scenario",
            path, check=False)
        self.assertNotEqual(0, status)
        for what in ("scenario.yaml:2", "workers", "hots", "scenario.yaml:3"):
            self.assertIn(what, error)
