# Sourced by the other scripts: system packages and the virtual environment at the project's root.
# shellcheck shell=bash
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
TORCH="torch==2.13.0"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    echo "These system packages are needed, and neither root nor sudo is at hand: $*" >&2
    return 1
  fi
}

# need_packages PACKAGE…: installs those Debian packages that are missing.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  if ! command -v apt-get >/dev/null; then
    echo "Please install these, or what your system calls them: ${missing[*]}" >&2
    return 1
  fi
  echo "Installing system packages: ${missing[*]}" >&2
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# find_python: a Python of at least 3.11, from the PATH or, where there is none, from Debian.
find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  need_packages python3 python3-venv
  echo python3
}

# need_venv EXTRAS GROUP: makes or completes the virtual environment; quick where nothing changed.
need_venv() {
  local extras=$1 group=${2:-} stamp="$VENV/.ser-agent-$1-${2:-none}" python want
  want="$(cksum <"$ROOT/pyproject.toml") $TORCH $ROOT"
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return
  need_packages gcc libc6-dev portaudio19-dev python3-dev
  if [ ! -x "$VENV/bin/python" ]; then
    python="$(find_python)"
    "$python" -m venv "$VENV"
  fi
  echo "Installing Python packages into .venv (the first time this takes some minutes)" >&2
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' >&2
  case ",$extras," in *,torch,*)
    # Of this torch there is a build without CUDA; a plain `torch` would bring gigabytes that a small board can't use.
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$TORCH" >&2
    ;;
  esac
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$ROOT[$extras]" \
    ${group:+--group "$ROOT/pyproject.toml:$group"} >&2
  echo "$want" >"$stamp"
}
