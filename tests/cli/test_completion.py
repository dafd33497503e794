"""Completion for shells, of the extra "completion"."""

import subprocess
import sys

import pytest

from .conftest import COMMANDS, run


def test_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as stop:
        run("--print-completion", "bash")
    assert stop.value.code == 2
    assert "needs shtab: pip install 'astro_lpalm[completion]'" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_script_names_all_commands(shell, capsys):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as stop:
        run("--print-completion", shell)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)
    assert "--gain-error" in out


def test_in_bash(tmp_path, capsys):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit):
        run("--print-completion", "bash")
    (tmp_path / "cube.fits").touch()
    (tmp_path / "complete.sh").write_text(capsys.readouterr().out)
    asked = """
source complete.sh
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  function=$(complete -p astro-lpalm | sed 's/.*-F \\([^ ]*\\).*/\\1/')
  $function astro-lpalm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
  echo "${COMPREPLY[@]}"; }
complete_words astro-lpalm sep
complete_words astro-lpalm separate --gain
complete_words astro-lpalm report cub
"""
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["separate", "--gain-error", "cube.fits"]
