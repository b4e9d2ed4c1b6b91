"""What may not be in the repository: hosts of package registries, paths of one machine, a README nobody reads."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written in two parts, so that this file holds none itself.
REGISTRY_HOSTS = [
    f"{name}.{domain}"
    for name, domain in [
        ("pypi", "org"),
        ("files.pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("registry.yarnpkg", "com"),
        ("deb.debian", "org"),
        ("proxy.golang", "org"),
        ("conda.anaconda", "org"),
        ("static.crates", "io"),
        ("repo1.maven", "org"),
        ("hub.getdbt", "com"),
    ]
]
HOST = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS))

# An absolute path into a directory that is one machine's own. A path below a variable, a `~` or a host isn't one.
MACHINE_PATH = re.compile(r"(?<![\w.~})\]*-])/(?:root|home|work|tmp|Users)/")

# Files that may hold such a path, and why.
PATHS_ALLOWED: dict[str, str] = {
    "tests/project/test_repository.py": "holds examples of what the rule finds",
}


def committed(root: Path) -> list[Path]:
    """The files that are in git or would be with the next `git add`, text only.

    Raises:
        pytest.skip.Exception: this is a copy without its history.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git repository: nothing says which files are committed")
    paths = [root / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def lines_that_match(pattern: re.Pattern[str], paths: list[Path], root: Path) -> list[str]:
    found = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(root).as_posix()}:{number}: {match[0]}")
    return found


def test_no_registry_host() -> None:
    assert lines_that_match(HOST, committed(ROOT), ROOT) == []


def test_no_path_of_one_machine() -> None:
    paths = [path for path in committed(ROOT) if path.relative_to(ROOT).as_posix() not in PATHS_ALLOWED]
    assert lines_that_match(MACHINE_PATH, paths, ROOT) == []


def test_no_lock_that_names_hosts() -> None:
    assert not [path for path in committed(ROOT) if path.name == "uv.lock"], "the lock is in requirements/"


def test_readme_is_short() -> None:
    readme = ROOT / "README.md"
    if readme.exists():
        assert len(readme.read_text(encoding="utf-8").splitlines()) <= 150, "move what is too much for it to docs/"


@pytest.mark.parametrize(
    "text",
    [
        "path = '/home/ada/granary'",
        "cd /root/x",
        'open("/tmp/x")',
        "file:///work/main",
        "export A=/tmp/x",
        "--dir=/Users/ada/",
    ],
)
def test_path_of_one_machine_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert lines_that_match(MACHINE_PATH, [tmp_path / "a.py"], tmp_path)


@pytest.mark.parametrize(
    "text",
    ["https://example.com/home/x", "$HOME/tmp/x", "${DIR}/tmp/x", "~/work/x", "docs/work/x", "/tmpfs/", "./tmp/x"],
)
def test_other_paths_are_allowed(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert not lines_that_match(MACHINE_PATH, [tmp_path / "a.py"], tmp_path)


def test_registry_host_is_found(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"--index-url https://{REGISTRY_HOSTS[0]}/simple", encoding="utf-8")
    assert lines_that_match(HOST, [tmp_path / "requirements.txt"], tmp_path)


def test_committed_files_are_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("ignored.txt\n", encoding="utf-8")
    for name in ("kept.txt", "ignored.txt"):
        (tmp_path / name).write_text("text", encoding="utf-8")
    (tmp_path / "binary.png").write_bytes(b"\x89\0")
    assert {path.name for path in committed(tmp_path)} == {".gitignore", "kept.txt"}
