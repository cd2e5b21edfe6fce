"""The repository keeps its word: the README's commands and the map of the code are true, nothing of one
machine is in it, and what is imported is declared and pinned."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from apps.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = ("tools", "agents", "trajectories", "training", "eval", "apps")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def files() -> list[Path]:
    """Everything git tracks, or every file where this is no git checkout."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [p for p in paths or ROOT.rglob("*") if p.is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data[:4096] and len(data) < 2_000_000:
            found.append((path, data.decode("utf-8", errors="replace")))
    return found


def modules() -> list[Path]:
    return [p for p in files() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in ROOMS]


def shell_lines() -> list[str]:
    """The commands of the README's indented blocks and fences, without comments."""
    lines = re.findall(r"^(?:    |\$ )?((?:make|shopfloor) .*)$", README, re.MULTILINE)
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def test_no_path_or_host_of_one_machine() -> None:
    """No home folder, checkout or package index of whoever wrote it."""
    pattern = re.compile(
        r"(?<![\w.])/(?:(?:work|farm|root|opt|Users)/|home/(?!me\b))\w|\bpypi\.|pythonhosted|download\.pytorch"
    )
    here = Path(__file__).resolve()
    wrong = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path, text in texts()
        if path != here and (found := pattern.search(text))
    ]
    assert not wrong


def test_every_module_says_what_it_is() -> None:
    """Each module opens with a docstring."""
    wrong = [str(p) for p in modules() if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
    assert not wrong


def test_every_package_is_installed() -> None:
    """pyproject lists each folder of code, so that the command works outside the checkout."""
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in modules()}
    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~! ]", requirement)[0].lower().replace("_", "-")


def test_imports_are_declared() -> None:
    """Every third-party package that the rooms import is a dependency of ours, not only of a dependency."""
    owners = importlib.metadata.packages_distributions()
    project = PROJECT["project"]
    optional = project["optional-dependencies"]
    declared = {
        name_of(r) for r in project["dependencies"] + optional["rails"] + optional["ray"] + optional["lm"]
    }
    missing = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for top in {n.split(".")[0] for n in names} - set(sys.stdlib_module_names) - set(ROOMS):
                if not {name_of(owner) for owner in owners.get(top, [top])} & declared:
                    missing.add(f"{path.relative_to(ROOT)}: {top}")
    assert not missing


def test_dependencies_are_pinned() -> None:
    """constraints.txt has one exact version of each dependency, and nothing but versions."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {name_of(line) for line in lines}
    assert len(pinned) == len(lines)
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    assert {name_of(r) for r in wanted} <= pinned


def test_readme_has_commands() -> None:
    """The README shows both commands of a newcomer, and every subcommand at least once."""
    lines = shell_lines()
    assert sum(line.startswith("make run TASK=") for line in lines) == 5
    assert "make test" in lines
    assert {line.split()[1] for line in lines if line.startswith("shopfloor")} >= set(COMMANDS)


@pytest.mark.parametrize("line", sorted(set(shell_lines())))
def test_readme_commands_exist(line: str) -> None:
    """A make target or a subcommand of that name exists, with the options the README gives it."""
    program, *rest = line.split()
    if program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return
    words = [rest[0], *(w for w in rest[1:2] if rest[0] in ("train", "memory", "ab"))]
    shown = subprocess.run(
        [sys.executable, "-m", "apps.main", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    for option in re.findall(r"(?<=\s)--[a-z-]+", line):
        assert option in shown.stdout


def test_the_map_is_true() -> None:
    """Each path of the map exists, and no module of the rooms is left out of it."""
    tree = (ROOT / "docs/code.md").read_text(encoding="utf-8").split("```")[1]
    listed, stack = set(), [""]
    for line in tree.splitlines()[1:]:
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        del stack[depth + 1 :]
        path = stack[depth] + name
        assert (ROOT / path).exists(), path
        assert len(line.split()) > 1, f"{path} has no comment"
        listed.add(path)
        if name.endswith("/"):
            stack.append(path)
    left_out = {str(p.relative_to(ROOT)) for p in modules() if p.name != "__init__.py"} - listed
    assert not left_out


def test_ci_runs_what_the_readme_says() -> None:
    """.ci/run calls the README's own test command and the lint target, and names no package index."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make lint", script, re.MULTILINE)
    assert re.search(r"^make test", script, re.MULTILINE)
    assert "://" not in script
