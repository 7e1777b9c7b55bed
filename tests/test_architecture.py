"""The order of imports, the tree in docs/ARCHITECTURE.md and the size of files, checked against the disk."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "dermapair"
SOURCES = sorted(PACKAGE.rglob("*.py"))

BEFORE = ("errors", "types", "config")
LANES = (("imaging", "augment", "data"), ("models", "saliency"), ("metrics",))
AFTER = ("inference", "training", "evaluation", "report", "reproduce", "export", "serving", "cli", "__main__")
LANE_OF = {part: number for number, lane in enumerate(LANES) for part in lane}
RANK = {
    **{part: i for i, part in enumerate(BEFORE)},
    **{part: 10 + i for lane in LANES for i, part in enumerate(lane)},
    **{part: 20 + i for i, part in enumerate(AFTER)},
}
ROOT_PART, LAZY_TARGET = "__init__", "inference"  # the package's own file, and all that it hands out

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60
HEAVY = ("torch", "torchvision", "timm", "lightning")


# --- the order of imports -----------------------------------------------------------------------


def part_of(module: str) -> str:
    """Return the part that a dotted module name belongs to: `dermapair.data.store` -> `data`."""
    return [*module.split("."), ROOT_PART][1]


def is_import_call(node: ast.AST) -> bool:
    """Tell whether a node calls `import_module("...")` or `__import__("...")` with a plain name."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"import_module", "__import__"} and isinstance(node.args[0].value, str)


def names_imported(node: ast.AST, package: str) -> list[str]:
    """Return the dotted names that one node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = resolve_name("." * node.level + (node.module or ""), package)
        return [f"{module}.{alias.name}" for alias in node.names]
    if is_import_call(node):
        return [resolve_name(node.args[0].value, package)]
    return []


def target_part(name: str) -> str | None:
    """Return the part that an imported name lives in; None where it is harmless or not ours."""
    if name.split(".")[0] != "dermapair" or name == "dermapair.__version__":
        return None
    if part_of(name) not in RANK and name.count(".") < 2:
        return LAZY_TARGET  # `from dermapair import load`: the package's own file hands out the predictor
    return part_of(name)


def lazy_nodes(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes that do not run when the module is imported: functions, TYPE_CHECKING blocks."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"))
        for statement in node.body
        for inner in ast.walk(statement)
    }


def allowed(importer: str, imported: str, *, lazy: bool) -> bool:
    """Tell whether part `importer` may import from part `imported`."""
    if importer == ROOT_PART:
        return imported == LAZY_TARGET and lazy
    if importer == imported:
        return True
    if importer not in RANK or imported not in RANK:
        return False
    if importer in LANE_OF and imported in LANE_OF and LANE_OF[importer] != LANE_OF[imported]:
        return False
    return RANK[imported] < RANK[importer]


def violations(source: str, relative: str) -> list[str]:
    """Return one line for each import in `source` (at `relative` under the package) against the order."""
    parts = ("dermapair", *Path(relative).with_suffix("").parts)
    importer, package = part_of(".".join(parts)), ".".join(parts[:-1])
    tree = ast.parse(source)
    lazy = lazy_nodes(tree)
    return [
        f"{relative}:{node.lineno}: {importer} imports from {imported}"
        for node in ast.walk(tree)
        for imported in {target_part(name) for name in names_imported(node, package)} - {None}
        if not allowed(importer, imported, lazy=node in lazy)
    ]


def test_every_import_goes_left():
    assert SOURCES, f"no source under {PACKAGE}"
    found = [
        line
        for path in SOURCES
        for line in violations(path.read_text("utf-8"), path.relative_to(PACKAGE).as_posix())
    ]
    assert not found, "\n".join(found)


def test_every_part_on_disk_has_its_place_in_the_order():
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    modules = {p.stem for p in PACKAGE.glob("*.py")}
    assert (folders | modules) - {ROOT_PART, "recipes"} <= set(RANK)


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("types.py", "from dermapair.config import Recipe"),
        ("data/store.py", "import dermapair.models.build"),
        ("data/store.py", "from dermapair import models"),
        ("data/store.py", "from dermapair import load"),
        ("data/store.py", "import dermapair"),
        ("imaging/read.py", "from ..data import store"),
        ("imaging/read.py", "from .. import data"),
        ("models/__init__.py", "from ..saliency import cam"),
        ("metrics/auc.py", "def f():\n    from dermapair.imaging import read"),
        ("saliency/cam.py", "if TYPE_CHECKING:\n    from dermapair.metrics.auc import auc"),
        ("training/loop.py", "import importlib\nimportlib.import_module('dermapair.cli.main')"),
        ("training/loop.py", "from importlib import import_module\nimport_module('..cli.main')"),
        ("cli/main.py", "from dermapair.unheard_of.module import x"),
        ("unheard_of/module.py", "from dermapair.errors import DermapairError"),
        ("__init__.py", "from dermapair.inference.predictor import load"),
        ("__init__.py", "def f():\n    from dermapair.training import train"),
    ],
)
def test_the_checker_finds_an_import_to_the_right(relative, source):
    assert len(violations(source, relative)) == 1


@pytest.mark.parametrize(
    ("relative", "source"),
    [
        ("data/store.py", "from dermapair.imaging.read import read_image\nfrom ..errors import TableError"),
        ("data/adapters/csv.py", "from ..table import read\nfrom . import base\nimport numpy.errors"),
        ("saliency/cam.py", "from dermapair import models, types"),
        ("inference/predictor.py", "from dermapair.data import store\nfrom dermapair.metrics import auc"),
        ("cli/main.py", "from dermapair import __version__, load"),
        ("__main__.py", "from dermapair.cli.main import main"),
        ("__init__.py", "if TYPE_CHECKING:\n    from dermapair.inference.predictor import Predictor"),
        ("__init__.py", "def load(run):\n    from dermapair.inference.predictor import load as f"),
    ],
)
def test_the_checker_accepts_an_import_to_the_left(relative, source):
    assert violations(source, relative) == []


# --- the tree in docs/ARCHITECTURE.md -----------------------------------------------------------


def documented_files(markdown: str) -> dict[str, str]:
    """Return path -> purpose of every `src/dermapair/...` line inside fenced blocks."""
    found: dict[str, str] = {}
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", markdown, flags=re.M | re.S):
        for path, purpose in re.findall(r"^(src/dermapair/\S+)[ \t]*(.*)$", block, flags=re.M):
            assert path not in found, f"{path} stands in the tree twice"
            found[path] = purpose.strip()
    return found


def files_on_disk() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in {".py", ".toml", ".j2"} and "__pycache__" not in path.parts
    }


def test_the_tree_in_the_docs_is_the_tree_on_disk():
    documented = documented_files((ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8"))
    on_disk = files_on_disk()
    assert sorted(on_disk - set(documented)) == [], "not in docs/ARCHITECTURE.md"
    assert sorted(set(documented) - on_disk) == [], "in docs/ARCHITECTURE.md, not on the disk"
    assert [path for path, purpose in documented.items() if not purpose] == [], "without a purpose"


def test_the_tree_is_read_from_fenced_blocks_alone():
    markdown = "src/dermapair/a.py  prose\n```text\nsrc/dermapair/b.py   b's work\nother.py  x\n```\n"
    assert documented_files(markdown) == {"src/dermapair/b.py": "b's work"}


def test_a_file_that_stands_in_the_tree_twice_is_found():
    block = "```\nsrc/dermapair/a.py  x\nsrc/dermapair/a.py  y\n```\n"
    with pytest.raises(AssertionError, match="twice"):
        documented_files(block)


# --- what a file may hold -----------------------------------------------------------------------


def function_lines(source: str) -> Iterator[tuple[str, int]]:
    """Yield name and number of lines, docstring not counted, of every function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, lines = node.body[0], (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, lines


def test_a_docstring_does_not_count_as_lines_of_its_function():
    source = 'def f():\n    """One.\n\n    Two.\n    """\n    return 1\n'
    assert list(function_lines(source)) == [("f", 2)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_files_and_functions_stay_short(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < MAX_FILE_LINES
    assert [f"{name}: {n} lines" for name, n in function_lines(text) if n >= MAX_FUNCTION_LINES] == []


def test_no_text_speaks_of_the_machine_it_was_written_on():
    # Split, so that this file does not hold what it forbids.
    forbidden = re.compile("|".join([r"sub" + "agent", "/wo" + "rk/", r"\bfa" + "rm-"]), re.IGNORECASE)
    folders = [ROOT / name for name in ("src", "tests", "docs", "benchmarks")]
    paths = [*ROOT.glob("*"), *(path for folder in folders for path in folder.rglob("*"))]
    suffixes = {".py", ".md", ".toml", ".txt", ".j2", ".cff", ".js", ".css", ".html"}
    texts = [p for p in paths if p.is_file() and (p.suffix in suffixes or p.name == "Makefile")]
    assert len(texts) > len(SOURCES)
    found = [str(p.relative_to(ROOT)) for p in texts if forbidden.search(p.read_text("utf-8"))]
    assert found == []


def test_metrics_name_no_torch():
    files = sorted((PACKAGE / "metrics").glob("**/*.py"))
    assert files, "dermapair.metrics has no module"
    imported = {
        (path.name, name.split(".")[0])
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in names_imported(node, "dermapair.metrics")
    }
    assert {pair for pair in imported if pair[1] in HEAVY} == set()


# --- what importing costs -----------------------------------------------------------------------


def heavy_after(code: str) -> list[str]:
    """Run `code` in a fresh interpreter; return which of the heavy libraries it imported."""
    script = (
        textwrap.dedent(code) + f"\nimport sys; print('HEAVY', *[m for m in {HEAVY} if m in sys.modules])"
    )
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_probe_sees_a_heavy_import():
    assert "torchvision" in heavy_after(
        "import sys, types; sys.modules['torchvision'] = types.ModuleType('x')"
    )


def test_every_metrics_module_imports_without_torch():
    modules = [f"dermapair.metrics.{p.stem}" for p in (PACKAGE / "metrics").glob("[!_]*.py")]
    assert modules, "dermapair.metrics has no module"
    assert heavy_after("\n".join(f"import {module}" for module in modules)) == []


def test_the_help_of_every_command_imports_no_torch():
    code = """
        import typer
        from typer.testing import CliRunner
        from dermapair.cli.main import app

        def paths(command, path=()):
            yield path
            for name, child in getattr(command, "commands", {}).items():
                yield from paths(child, (*path, name))

        found = list(paths(typer.main.get_command(app)))
        assert len(found) > 1, "the CLI has no command"
        for path in found:
            result = CliRunner().invoke(app, [*path, "--help"])
            assert result.exit_code == 0, (path, result.output, result.exception)
    """
    assert heavy_after(code) == []


def test_the_script_answers_help_without_torch():
    code = """
        import sys
        from dermapair.cli.main import main
        sys.argv = ["dermapair", "--help"]
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code
        assert not code, code
    """
    assert heavy_after(code) == []
