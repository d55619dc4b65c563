# Sourced by the other scripts: one virtual environment in the checkout, made when it is needed.
# shellcheck shell=bash

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$checkout/.venv

# Print the first Python that fits. It is run, not only found: a version manager's stand-in may
# exist for a version that is not installed.
fitting_python() {
    local python
    for python in python3.11 python3.12 python3; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    echo "Python 3.11 or 3.12 is needed, and none is on the PATH." >&2
    return 1
}

make_venv() {
    local python
    python=$(fitting_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python cannot make virtual environments: apt install python3-venv" >&2
        return 1
    fi
    echo "making $venv" >&2
    "$python" -m venv --clear "$venv"
}

# ensure_environment EXTRAS: have the checkout installed with these extras. A stamp says what was
# installed last, so that the second time costs nothing.
ensure_environment() {
    local stamp=$venv/installed-$1 wanted
    "$venv/bin/python" -c '' 2>/dev/null || make_venv
    # A moved checkout needs a new installation too: its path stands in what was installed.
    wanted="$("$venv/bin/python" -V) $checkout $(cat "$checkout"/{setup.cfg,tests/oracles.txt} | cksum)"
    [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && return
    echo "installing voicefarm[$1] into $venv" >&2
    # The progress is noise, and stdout belongs to whoever called. Python compiles what it imports; pip would
    # compile all 16,000 files, one after the other.
    local install=("$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-compile)
    "${install[@]}" -e "${checkout}[$1]" >&2
    if [[ $1 == *dev* ]]; then
        # So fairseq leaves out its extensions, which nothing here needs, and builds within seconds.
        READTHEDOCS=1 "${install[@]}" --no-deps --no-build-isolation -r "$checkout/tests/oracles.txt" >&2
    fi
    echo "$wanted" >"$stamp"
}
