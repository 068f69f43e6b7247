# shellcheck shell=sh
# Everything that meshchat needs on a fresh machine, shared by ./run and ./test: `set_up CHECKOUT EXTRA`.
#
# Finds Python, makes .venv in the checkout, installs the system's libraries that are missing and then the package.
# What was done is remembered beside it, so that the next time takes no time. All narration goes to stderr.

say() {
    printf 'meshchat: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

# set_up CHECKOUT EXTRA: make CHECKOUT/.venv ready; EXTRA names an extra of setup.cfg, or is empty.
set_up() {
    checkout=$1
    extra=$2
    venv=$checkout/.venv
    stamp=$venv/set-up${extra:+-$extra}
    export_library_path
    if [ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
        return 0
    fi
    make_venv
    require_library opus
    [ "$(uname -s)" = Darwin ] || suggest_library portaudio # elsewhere it comes with the Python package
    say "installing the Python packages into .venv"
    (cd "$checkout" && "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
        --editable ".${extra:+[$extra]}" </dev/null >&2) || fail "pip could not install the packages; see above"
    fingerprint >"$stamp"
}

# What the set-up depends on: the two files that name the packages, the Python, and where the checkout lies.
fingerprint() {
    printf '%s\n' "$checkout"
    cat "$checkout/setup.cfg" "$checkout/pyproject.toml" "$venv/pyvenv.cfg" | cksum
}

# Homebrew's libraries lie where a Python from elsewhere does not look.
export_library_path() {
    if [ -d /opt/homebrew/lib ]; then
        export DYLD_FALLBACK_LIBRARY_PATH="${DYLD_FALLBACK_LIBRARY_PATH:-/opt/homebrew/lib:/usr/local/lib:/usr/lib}"
    fi
}

make_venv() {
    if is_usable_venv; then
        return 0
    fi
    python=$(find_python) || fail "needs Python 3.11 or newer; install it with: $(install_command python)"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        require_package venv "Python's venv module"
    fi
    say "making .venv with $("$python" -V 2>&1)"
    "$python" -m venv --clear "$venv" </dev/null >&2 || fail "could not make $venv; see above"
    printf '%s\n' "$checkout" >"$venv/made-for"
}

# A virtual environment that moved with its checkout is not usable: its programs name the old place.
is_usable_venv() {
    is_recent "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        [ "$(cat "$venv/made-for" 2>/dev/null || printf '%s\n' "$checkout")" = "$checkout" ]
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if command -v "$candidate" >/dev/null 2>&1 && is_recent "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

has_library() {
    "$venv/bin/python" -c 'import ctypes.util, sys; sys.exit(ctypes.util.find_library(sys.argv[1]) is None)' "$1"
}

require_library() {
    has_library "$1" || require_package "$1" "the library $1"
    has_library "$1" || fail "the library $1 is installed, but Python does not find it"
}

# A library that meshchat can do without: without PortAudio it has no sound card, but files and tones.
suggest_library() {
    if ! has_library "$1" && ! install "$1" "the library $1"; then
        say "warning: going on without $1, so no sound card can be used; to install it: $(install_command "$1")"
    fi
}

require_package() {
    install "$1" "$2" || fail "needs $2; install it with: $(install_command "$1")"
}

manager() {
    for candidate in apt-get dnf pacman brew; do
        if command -v "$candidate" >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    echo none
}

# package_of THING MANAGER: what the thing is called there.
package_of() {
    case $2:$1 in
    apt-get:opus) echo libopus0 ;;
    apt-get:portaudio) echo libportaudio2 ;;
    apt-get:python) echo python3 python3-venv ;;
    apt-get:venv) echo "$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')-venv" ;;
    dnf:python) echo python3 ;;
    *:venv) echo python ;;
    *) echo "$1" ;;
    esac
}

# The command that installs a thing, as a person would type it.
install_command() {
    case $(manager) in
    apt-get) echo "sudo apt-get install $(package_of "$1" apt-get)" ;;
    dnf) echo "sudo dnf install $(package_of "$1" dnf)" ;;
    pacman) echo "sudo pacman -S $(package_of "$1" pacman)" ;;
    brew) echo "brew install $(package_of "$1" brew)" ;;
    *) echo "the package manager of this system (package: $1)" ;;
    esac
}

# install THING WORDS: install it if we may; otherwise, or when it does not work, false.
install() {
    with=$(manager)
    package=$(package_of "$1" "$with")
    [ "$with" != none ] || return 1
    if [ "$with" != brew ] && [ "$(id -u)" != 0 ] && ! sudo -n true >/dev/null 2>&1; then
        return 1
    fi
    say "installing $2 ($package) with $with"
    log=$(mktemp)
    # shellcheck disable=SC2086 # python3 and python3-venv are two packages
    if install_with "$with" $package >"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    cat "$log" >&2
    rm -f "$log"
    return 1
}

install_with() {
    case $1 in
    apt-get)
        shift # lists that are missing or stale show in a failure; only then are they fetched
        apt_install "$@" || { as_root apt-get update -q && apt_install "$@"; }
        ;;
    dnf) shift && as_root dnf install -y "$@" ;;
    pacman)
        shift
        as_root pacman -S --noconfirm --needed "$@" || as_root pacman -Sy --noconfirm --needed "$@"
        ;;
    brew) shift && brew install --quiet "$@" ;;
    esac
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}
