"""The report: one file, no reference to anything outside it, sound markup, and the figures of the tables it is made of."""
import csv
import html.parser
import json
import os
import re
import unittest

from common import Phantoms, SMALL, run, run_json

VOID = {"meta", "link", "img", "input", "br", "hr", "line", "circle", "rect", "polyline"}


class Page(html.parser.HTMLParser):
    """Checks that elements close in order, and keeps what the tests ask about."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.tags, self.images, self.words = [], [], [], [], [], []
        self.text = text
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        for name, value in attributes.items():
            if name in ("src", "href", "action", "data", "xlink:href", "srcset", "poster"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
        if tag == "img":
            self.images.append(attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


class Report(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("run", "--epochs", "2", "--split", "40/20/40")
        run("crossval", cls.data, *SMALL, "--k", "2", "--epochs", "1", "--groups", cls.groups, "--out", cls.file("cv"),
            "--resamples", "200")
        cls.robustness = run_json("robustness", cls.file("run"), cls.data, "--resamples", "200", "--json")
        cls.runs = {name: cls.page(name, cls.file(name)) for name in ("run", "cv")}

    @classmethod
    def page(cls, name, *arguments):
        out = cls.file(name + ".html")
        run("report", *arguments, "-o", out, "--resamples", "200")
        with open(out, encoding="utf-8") as file:
            return Page(file.read())

    def test_one_file_and_nothing_from_elsewhere(self):
        for page in self.runs.values():
            self.assertFalse([link for link in page.links if not link.startswith(("#", "data:image/png;base64,"))])
            plain = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", page.text)
            self.assertIsNone(re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|\bimport\b", plain))
            self.assertFalse({"link", "iframe", "object", "embed", "base", "form"} & set(page.tags))
            self.assertLess(len(page.text), 1 << 20)

    def test_robustness(self):
        flaws = self.robustness["flaws"]
        with open(self.file("run/robustness.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file), self.robustness)
        self.assertEqual({flaw["flaw"] for flaw in flaws}, {"noise", "blur", "brightness", "shift", "JPEG"})
        self.assertTrue(all(0 <= flaw["changed"] <= self.robustness["cases"] for flaw in flaws))
        self.assertTrue(all(flaw["auc_difference_interval"] is not None for flaw in flaws))
        scores = run_json("eval", self.file("run"), self.data, "--json")
        self.assertEqual(scores["auc"], self.robustness["as_they_are"]["auc"])
        self.assertEqual(scores["log_loss"], self.robustness["as_they_are"]["log_loss"])
        moved = {flaw["strength"]: flaw["mean_change"] for flaw in flaws if flaw["flaw"] == "brightness"}
        self.assertGreater(moved[0.2], moved[0.1])
        self.assertIn("robustness", self.runs["run"].ids)
        self.assertIn("JPEG, quality 10", self.runs["run"].words)
        self.assertNotIn("robustness", self.runs["cv"].ids)

    def test_markup(self):
        for page in self.runs.values():
            self.assertTrue(page.text.startswith("<!DOCTYPE html>"))
            self.assertEqual(len(page.ids), len(set(page.ids)))
            for link in page.links:
                if link.startswith("#"):
                    self.assertIn(link[1:], page.ids)
            for target in re.findall(r'(?:aria-labelledby|for)="([^"]*)"', page.text):
                self.assertIn(target, page.ids)
            self.assertTrue(all(image["alt"] for image in page.images))
            self.assertEqual((page.tags.count("h1"), page.tags.count("main"), page.tags.count("title") > 0), (1, 1, True))
            self.assertIsNone(re.search(r"\bnan\b|\binf\b", re.sub(r"<[^>]*>", " ", page.text)))

    def test_figures_are_those_of_the_table(self):
        for name, page in self.runs.items():
            scores = run_json("score", self.file(name, "predictions.csv"), "--resamples", "200")
            rows = dict(re.findall(r'<tr><th scope="row">([^<]*?)(?: <small>[^<]*</small>)?</th><td>([^<]*)</td>', page.text))
            for title, figure in (("ROC-AUC", "auc"), ("accuracy", "accuracy"), ("sensitivity", "sensitivity"),
                                  ("Brier", "brier")):
                self.assertEqual(rows[title], f"{scores[figure]:.3f}", (name, title))
            low, high = scores["auc_interval"]
            self.assertIn(f"{low:.3f} to {high:.3f}", page.text)
            matrix = [int(n) for n in re.findall(r'<td class="(?:right|wrong)"[^>]*>(\d+) ', page.text)]
            self.assertEqual(matrix, sum(scores["confusion"], []))
            # The curve ends where everything is called positive, and its area is the one stated.
            points = [tuple(map(float, point.split(","))) for point in re.search(
                r'id="roc".*?class="first" points="([^"]*)"', page.text, re.S).group(1).split()]
            x, y = [(px - 56) / 388 for px, _ in points], [1 - (py - 16) / 300 for _, py in points]
            area = sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))
            self.assertAlmostEqual(area, scores["auc"], delta=0.01)

    def test_what_each_kind_shows(self):
        for name, sections in (("run", "summary data curves calibration confusion figures errors learning card checklist"),
                               ("cv", "summary data curves calibration confusion figures folds errors checklist")):
            for section in sections.split():
                self.assertIn(section, self.runs[name].ids)
        words = " ".join(self.runs["run"].words)
        self.assertIn("For research only", words)
        self.assertIn("TODO", words)
        self.assertIn("hilum train", words)
        self.assertGreater(len(self.runs["run"].images), 0)
        self.assertIn("file size", " ".join(self.runs["cv"].words))

    def test_subgroups_and_comparison(self):
        page = self.page("both", self.file("run"), self.file("run", "predictions.csv"), "--subgroups", "side", "--table",
                         self.groups, "--title", "a <b> & \"c\"", "--errors", "2")
        self.assertIn("a &lt;b&gt; &amp; &quot;c&quot;", page.text)
        self.assertIn("subgroups", page.ids)
        self.assertIn("compared", page.ids)
        self.assertLessEqual(len(page.images), 4)  # each with its heat
        with open(self.file("run", "predictions.csv")) as file:
            total = len(list(csv.DictReader(file)))
        block = page.text[page.text.index('<section id="subgroups"'):]
        block = block[:block.index("</section>")]
        self.assertEqual(sum(map(int, re.findall(r'</th><td>(\d+)</td>', block))), total)

    def test_names_are_text(self):
        table = self.file("odd.csv")
        with open(table, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["path", "label", "probability"])
            for i in range(40):
                out.writerow([f"</script><img src=x onerror=alert({i})>", i % 2, (i * 7 % 40) / 40])
        page = self.page("odd", table)
        self.assertFalse(page.images)
        self.assertNotIn("<img src=x", page.text)

    def test_wrong_use(self):
        self.assertIn("subgroups", run("report", self.file("run"), "--subgroups", "nothing", "--table", self.groups, "-o",
                                       self.file("no.html"), expect=2).stderr)
        self.assertFalse(os.path.exists(self.file("no.html")))
        run("report", self.file("absent.csv"), "-o", self.file("no.html"), expect=1)
        run("report", expect=2)

    def test_many_classes_and_one_class(self):
        table = self.file("three.csv")
        with open(table, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["path", "label", "p_a", "p_b", "p_c"])
            for i in range(30):
                row = [0.2, 0.2, 0.2]
                row[i % 3 if i % 4 else 0] = 0.6
                out.writerow([f"case-{i}", "abc"[i % 3], *row])
        self.assertNotIn("curves", self.page("three", table).ids)
        with open(self.file("one.csv"), "w") as file:
            file.write("label,probability\n1,0.4\n1,0.6\n")
        self.assertNotIn("curves", self.page("one", self.file("one.csv")).ids)


if __name__ == "__main__":
    unittest.main()
