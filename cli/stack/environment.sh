#!/bin/sh
# Makes .venv from the locked requirements where it is missing, half made or outdated; make calls it.
# PYTHON names the interpreter to make it with; without it the newest suitable one is taken.
set -eu
cd "$(dirname "$0")/../.."

stamp=.venv/.ready # written last: without it .venv is half made
wanted="$(cksum requirements-dev.txt pyproject.toml)"

fail() {
    printf 'make: %s\n' "$*" >&2
    exit 1
}

is_ready() {
    made_here && [ "$(tail -n +2 "$stamp")" = "$wanted" ]
}

# A checkout that was moved has a .venv whose programs point to the old place.
made_here() {
    [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$PWD" ] && .venv/bin/python -c '' 2>/dev/null
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

makes_venvs() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

# Sets `python`: the newest that can make an environment, else the newest.
find_python() {
    python=
    for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        new_enough "$candidate" || continue
        python=${python:-$candidate}
        if makes_venvs "$candidate"; then
            python=$candidate
            return
        fi
    done
    [ -n "$python" ] || fail "Python 3.11 or later is needed, and ${PYTHON:-python3} is" \
        "$("${PYTHON:-python3}" --version 2>/dev/null || echo 'not there');" \
        "install it, or name it: make up PYTHON=/path/to/python"
}

# Debian and Ubuntu keep what makes environments in a package of its own.
install_venv() {
    release=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    package=python$release-venv
    if python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null | grep -qx "$release"; then
        package=python3-venv
    fi
    by_hand="$python cannot make environments (no ensurepip): install its package, on Debian and Ubuntu with"
    by_hand="$by_hand \`sudo apt-get update && sudo apt-get install $package\`"
    command -v apt-get >/dev/null || fail "$by_hand"
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo='sudo -n'
    else
        fail "$by_hand"
    fi
    echo "Installing $package with apt"
    # shellcheck disable=SC2086 # no word where nothing is to stand in front
    $sudo env DEBIAN_FRONTEND=noninteractive sh -c "
        { apt-get update -qq -o DPkg::Lock::Timeout=300 &&
          apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $package; } >/dev/null" ||
        fail "$by_hand"
    makes_venvs "$python" || fail "$by_hand"
}

# Two makes at once take turns; the lock is this shell's, and ends with it.
take_turn() {
    exec 9<requirements-dev.txt
    if ! "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        echo "Another make prepares .venv; waiting for it"
        "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    fi
}

# Without looking at what the packages want of each other: the lock is complete, and overrides some of it.
install_packages() {
    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-input \
        --no-deps --require-hashes --requirement requirements-dev.txt &&
        .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-input \
            --no-build-isolation --no-deps --editable .
}

is_ready && exit 0
find_python
take_turn
is_ready && exit 0 # made by the other one in the meantime
if made_here; then
    echo "Bringing .venv up to date with the locked requirements"
    rm -f "$stamp"
else
    makes_venvs "$python" || install_venv
    echo "Making .venv with $("$python" --version) and the locked requirements (about a minute)"
    rm -f "$stamp"
    "$python" -m venv --clear .venv || fail ".venv could not be made with $python; what it said stands above"
fi
install_packages || fail "the Python packages could not be installed into .venv; what pip said stands above"
printf '%s\n%s\n' "$PWD" "$wanted" >"$stamp.new"
mv "$stamp.new" "$stamp"
