#!/usr/bin/env bash
# Sees to the system packages that running (run), testing (test) or measuring (bench) needs:
#
#   scripts/system_packages.sh run|test|bench
#
# As root on Debian or Ubuntu it installs what is missing. Anybody else gets one message that names the
# missing packages, and exit status 2. PYTHON names the interpreter to check (default python3).
set -euo pipefail

purpose=${1:-run}
python=${PYTHON:-python3}
missing=()

need_command() { # need_command COMMAND PACKAGE
  # Debian keeps nginx where only root's PATH looks.
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || missing+=("$2")
}

need_python() {
  if ! command -v "$python" >/dev/null; then
    missing+=(python3 python3-venv)
  elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Openstreamer needs Python 3.11 or newer; $python is $("$python" -V 2>&1 | cut -d' ' -f2)." \
      "Install a newer one and name it: make PYTHON=python3.11 ..." >&2
    exit 2
  elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian ships venv without ensurepip unless this package is there.
    missing+=(python3-venv)
  fi
}

need_node() {
  need_command node nodejs
  need_command npm npm
  if command -v node >/dev/null && ! node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)'; then
    echo "The pages need Node.js 18 or newer to build; node is $(node --version)." >&2
    exit 2
  fi
}

need_vlc() { # its decoders are a package of their own
  command -v cvlc >/dev/null || missing+=(vlc-bin vlc-plugin-base)
}

need_fonts() {
  [ -n "$(find /usr/share/fonts /usr/local/share/fonts -name '*.ttf' -print -quit 2>/dev/null)" ] ||
    missing+=(fonts-dejavu-core)
}

need_nginx_rtmp() {
  [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || missing+=(libnginx-mod-rtmp)
}

need_gstreamer() { # its elements are spread over several packages
  command -v gst-launch-1.0 >/dev/null || missing+=(gstreamer1.0-tools)
  local element package
  for element in tcpserversink=base udpsink=good mpegtsmux=bad; do
    package=gstreamer1.0-plugins-${element#*=}
    gst-inspect-1.0 --exists "${element%=*}" 2>/dev/null || missing+=("$package")
  done
}

need_python
need_node
case $purpose in
  run) ;;
  test | bench)
    need_command ffmpeg ffmpeg
    need_command chromium chromium
    need_command openssl openssl
    need_command curl curl
    need_command nginx nginx-light
    need_nginx_rtmp
    need_vlc
    need_gstreamer
    need_fonts
    if [ "$purpose" = bench ]; then
      need_command wrk wrk
    fi
    ;;
  *)
    echo "usage: $0 run|test|bench" >&2
    exit 2
    ;;
esac

[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "To $purpose Openstreamer, these packages are missing: ${missing[*]}" >&2
  echo "Install them first, on Debian and Ubuntu with: sudo apt-get install ${missing[*]}" >&2
  exit 2
fi
echo "Installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
