"""The HTML page: it needs nothing else, and shows what was run, times, links and influence."""

import base64
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch

from ilvf.envs.names import AgentNames
from ilvf.experiment.pages import server
from ilvf.reports.matrices_file import MATRICES, write_matrices
from ilvf.studies.heatmaps import heatmaps, older_pictures
from ilvf.studies.html import html_of
from ilvf.studies.page import Results
from ilvf.studies.plan import planned_runs
from ilvf.studies.records import COLUMNS, command_of
from ilvf.studies.report import write_report
from ilvf.studies.what_ran import duration, machines_table
from study_helpers import small_study, table_of

NAMES = ["MAPPO", "<b>A</b> | *b*_c", "ILVF-P, τ = 0.5", *(f"lr {k}" for k in range(4, 11))]


AGENTS = AgentNames(("1", "2", "3", "4"), "vehicle")


def ten_algorithms():
    """A study with ten algorithms and two tasks, and all of its values."""
    algorithms = [{"title": name, "recipe": "mappo"} for name in NAMES]
    for number, algorithm in enumerate(algorithms[1:], 1):
        algorithm["keys"] = {"algorithm.lr": number / 1000}
    tasks = [{"title": title, "env": "encircle", "frames": 80} for title in ("One", "Two")]
    study = small_study(algorithms=algorithms, tasks=tasks)
    values = {name: [number, number + 0.5] for number, name in enumerate(NAMES)}
    return study, values


def records_of(runs):
    """Records in which each run took 100 s."""
    rows = []
    for run in runs:
        row = dict(zip(("task", "algorithm", "seed"), run.key, strict=True))
        row |= {"seconds": 100.0, "command": command_of(run), "torch": "2.13.0", "cpu": "Fast & Co"}
        row |= {"experiment_id": "7", "run_id": f"id{run.seed}"}
        rows.append(dict.fromkeys(COLUMNS, "") | row)
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The report of the study of ten algorithms, two of which have learned an influence."""
    folder = tmp_path_factory.mktemp("ten")
    study, values = ten_algorithms()
    runs = planned_runs(study)
    for run in runs:
        if run.algorithm in NAMES[1:3] and run.task == "One":
            (folder / run.folder).mkdir()
            learned = torch.full((4, 4), 0.25 + 0.5 * run.seed)
            possible = torch.eye(4, dtype=torch.bool)
            matrices = {"attention w": learned, "influence Ŵ": possible}
            matrices["all influence that is possible"] = possible
            write_matrices(folder / run.folder / MATRICES, matrices, AGENTS)
    write_report(Results(study, runs, table_of(runs, values), records_of(runs)), folder)
    return folder


class Reader(HTMLParser):
    """Collects tags, addresses and text; raises if a tag is closed that is not open."""

    VOID = ("meta", "img", "br", "link", "hr")

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.tags = []
        self.sources = []
        self.links = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        found = dict(attributes)
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(folder):
    return Reader((folder / "report.html").read_text())


def test_the_page_needs_nothing_else(page, folder):
    assert page.open == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(source.startswith("data:image/") for source in page.sources)
    pictures = [base64.b64decode(source.partition(",")[2]) for source in page.sources]
    names = ("curves.svg", "efficiency.svg", "profiles.svg", "influence.png")
    assert pictures == [(folder / name).read_bytes() for name in names]


def test_the_page_shows_what_the_markdown_shows(page, folder):
    lines = (folder / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith("| ---")]
    assert page.tags.count("tr") == len(rows)
    assert page.tags.count("img") == sum(line.startswith("![") for line in lines)
    for heading in (line for line in lines if line.startswith("#")):
        assert heading.replace("\\", "").lstrip("# ") in page.text


def test_titles_are_text_in_the_page(page):
    assert page.text.count("<b>A</b> | *b*_c") > 5
    assert "b" not in page.tags


def test_the_settings_are_those_that_differ(folder):
    text = (folder / "report.md").read_text()
    one, two = re.findall(r"^\| (One|Two) \| \*all\* \| (.*)$", text, re.MULTILINE)
    assert one[0] == "One"
    assert "`env=encircle`, `env.n_agents=4`" in one[1]
    assert "algorithm.lr" not in one[1]
    assert two[1] == one[1]
    assert "|  | MAPPO | `mappo`, `algorithm.lr" not in text
    assert text.count("| lr 4 | `mappo`, `algorithm.lr=0.003` | 80 | 100 s |") == 2


def test_times_machines_and_links_are_shown(page, folder):
    text = (folder / "report.md").read_text()
    assert "40 runs have finished. Their training took 67 min in all" in text
    assert "Fast & Co" in page.text
    assert "torch 2.13.0" in page.text
    links = [link for link in page.links if "/runs/" in link]
    assert len(links) == 40
    assert links[0] == "http://127.0.0.1:5000/#/experiments/7/runs/id0"


def test_runs_of_unknown_machines_are_the_last_row():
    rows = [dict.fromkeys(COLUMNS, ""), dict.fromkeys(COLUMNS, "") | {"cpu": "EPYC", "cores": "2"}]
    first, second = machines_table(pd.DataFrame(rows, columns=COLUMNS)).splitlines()[2:]
    assert first.endswith("| EPYC, 2 cores |")
    assert second == "| 1 | unknown | unknown |"


def test_an_equal_report_is_an_equal_file(tmp_path):
    study = small_study()
    runs = planned_runs(study)
    table = table_of(runs, {run.algorithm: [1.0, 2.0] for run in runs})
    pages = []
    for _ in range(2):
        write_report(Results(study, runs, table, records_of(runs)), tmp_path)
        pages.append((tmp_path / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_heatmaps_are_means_over_seeds(folder):
    study, _ = ten_algorithms()
    (of_task,) = heatmaps(study, planned_runs(study), folder)
    first, of_first, second, of_second, known = of_task
    assert first.title == f"One\n{NAMES[1]}\nattention w, 2 seeds"
    assert of_first.title == f"One\n{NAMES[1]}\ninfluence Ŵ, 2 seeds"
    assert second.title == f"One\n{NAMES[2]}\nattention w, 2 seeds"
    assert first.matrix.tolist() == [[0.5] * 4] * 4
    assert of_second.matrix.tolist() == torch.eye(4).tolist()
    assert of_second.agents == AGENTS
    assert known.title == "One\nall influence that is possible"
    assert known.matrix.tolist() == torch.eye(4).tolist()


def test_runs_without_matrices_show_their_last_picture(tmp_path):
    runs = planned_runs(small_study())
    for run in runs[1:]:
        (tmp_path / run.folder / "pictures").mkdir(parents=True)
        for frames in (40, 80):
            (tmp_path / run.folder / "pictures" / f"influence-{frames:08d}.png").touch()
    (tmp_path / runs[2].folder / MATRICES).touch()
    found = older_pictures(runs, tmp_path)
    path = tmp_path / runs[1].folder / "pictures" / "influence-00000080.png"
    assert found == {"Encircle, ILVF-P (threshold), seed 0": path}


@pytest.mark.parametrize("text", ["<script>x</script>", "a <img src=x onerror=y>", "<!-- c"])
def test_tags_in_a_text_are_shown_as_text(text, tmp_path):
    page = Reader(html_of([f"# {text}", text, "no *tags*"], text, tmp_path))
    assert not {"script", "img"} & set(page.tags)
    assert page.text.count(text) >= 3
    assert page.tags.count("em") == 1


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("", "http://127.0.0.1:5000"),
        ("sqlite:///somewhere.db", "http://127.0.0.1:5000"),
        ("https://name:secret@host:8443/mlflow/", "https://host:8443/mlflow"),
    ],
)
def test_links_lead_to_the_server_without_its_password(uri, address, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert server() == address


def test_durations_have_a_unit_that_fits():
    assert [duration(s) for s in (12.4, 599, 660, 40_000)] == ["12 s", "599 s", "11 min", "11.1 h"]
