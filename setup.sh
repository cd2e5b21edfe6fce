#!/usr/bin/env bash
# Everything `make run` and `make test` need, on Debian or Ubuntu with Python 3.11 or newer: a virtual environment
# with the pinned packages, a Chromium that draws, bubblewrap for scripts, and what a virtual desktop needs. Works as
# root, with passwordless sudo, or as a user (who is told what to ask for). Run again, it goes on where it stopped.
# PARTS="python browser scripts desktop" (all of them) says what to set up; images take some (deploy/docker).
#
# Not covered: a display for windows; `shopfloor doctor` says how to get one.
set -euo pipefail
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
PARTS=${PARTS:-python browser scripts desktop}

part() { case " $PARTS " in *" $1 "*) ;; *) return 1 ;; esac; }
say() { printf 'setup: %s\n' "$*" >&2; }

debian() { # debian PACKAGE…: install Debian packages, where we may
  local as_root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
  say "installing $* (apt-get)"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2 ||
    { "${as_root[@]}" apt-get update >&2 &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2; }
}

draws() { "$VENV/bin/shopfloor" doctor --only browser >/dev/null 2>&1; }

if part python; then
  if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "$PYTHON is not Python 3.11 or newer; install one and say which: make run PYTHON=python3.11"
    exit 2
  fi

  if [ ! -x "$VENV/bin/pip" ]; then
    say "making $VENV"
    if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
      debian python3-venv || { say "Python's venv is missing; as root: apt-get install python3-venv"; exit 2; }
    fi
    "$PYTHON" -m venv --clear "$VENV"
  fi

  # torch goes first, and by itself: pip then takes the build it prefers (one for the CPU, where its index or folder
  # offers it), and nothing after can pull in another.
  say "installing packages (2.6 GB with a CPU build of torch; minutes)"
  pip=("$VENV/bin/pip" install --disable-pip-version-check --constraint constraints.txt)
  [ -t 2 ] || pip+=(--quiet --quiet) # errors only, where nobody watches
  "${pip[@]}" torch setuptools
  "${pip[@]}" --no-build-isolation --editable '.[dev]'
fi

if part browser; then
  # Playwright drives browsers by a node of its own, which a minimal Debian lacks a library for.
  node=$("$VENV/bin/python" -c 'import playwright, pathlib; print(pathlib.Path(playwright.__file__).parent / "driver/node")')
  if ! "$node" --version >/dev/null 2>&1; then
    debian libatomic1 || say "Playwright's driver lacks a library; as root: apt-get install libatomic1"
  fi

  if [ -z "${SHOPFLOOR_CHROMIUM:-}" ]; then
    say "looking for a Chromium"
    timeout 600 "$VENV/bin/playwright" install chromium >/dev/null 2>&1 || say "Playwright's own is not to be had here"
  fi
  if ! draws; then
    if "$VENV/bin/shopfloor" doctor --only browser 2>&1 | grep -q ms-playwright; then
      "$VENV/bin/playwright" install-deps chromium >&2 || say "its libraries can't be installed here"
    else
      debian chromium-headless-shell fonts-dejavu-core || debian chromium fonts-dejavu-core || say "Debian's can't be installed here"
    fi
    draws || { "$VENV/bin/shopfloor" doctor --only browser >&2 || exit 1; }
  fi
fi

if part scripts; then
  if ! command -v bwrap >/dev/null; then # only scripts need it, so nothing fails without
    debian bubblewrap libseccomp2 || say "scripts need it; as root: apt-get install bubblewrap libseccomp2"
  fi
fi

if part desktop; then
  # Only desktop tasks need these, so nothing fails without. Which are missing the code itself says.
  desktop=$("$VENV/bin/python" -c 'from trajectories.desktop.suite import lacking; print(*lacking())')
  if [ -n "$desktop" ]; then
    # shellcheck disable=SC2086 # several words
    debian $desktop || say "desktop tasks need them; as root: apt-get install $desktop"
  fi
fi
say "ready"
