#!/bin/bash
# Fetches the programs the tests put around streamferry: ffmpeg, nginx with its RTMP module, rtmpdump, GStreamer with its
# rtmp2src, HAProxy, PostgreSQL, PgBouncer, Chromium, systemd (for systemd-analyze), iproute2, gcc (for bench/native), node-media-server.
# As root they are installed. Otherwise, and offline, this says what is missing, and the tests that need it are skipped
# with the reason; with CI=true such a skip is a failure (tests/conftest.py).
set -euo pipefail
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
has_rtmp_module() { compgen -G '/usr/lib*/nginx/modules/ngx_rtmp_module.so' >/dev/null; }
has_rtmp2src() { compgen -G '/usr/lib/*/gstreamer-1.0/libgstrtmp2.so' >/dev/null || compgen -G '/usr/lib*/gstreamer-1.0/libgstrtmp2.so' >/dev/null; }
has_srt() { compgen -G '/usr/lib/*/libsrt*.so.1.*' >/dev/null || compgen -G '/usr/lib*/libsrt*.so.1.*' >/dev/null; }
has_gst() { compgen -G '/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib' >/dev/null && compgen -G '/usr/lib/*/gstreamer-1.0/libgstisomp4.so' >/dev/null && [ -d /usr/lib/python3/dist-packages/gi ]; }
has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

missing() {
    if ! has ffmpeg; then echo ffmpeg; fi
    if ! has nginx; then echo nginx; fi
    if ! has_rtmp_module; then echo libnginx-mod-rtmp; fi
    if ! has rtmpdump; then echo rtmpdump; fi
    if ! has gst-launch-1.0; then echo gstreamer1.0-tools; fi
    if ! has_rtmp2src; then echo gstreamer1.0-plugins-bad; fi
    if ! has_srt; then echo libsrt1.5-gnutls; fi
    if ! has haproxy; then echo haproxy; fi
    if ! has ip; then echo iproute2; fi
    if ! has gcc; then printf 'gcc\nlibc6-dev\n'; fi
    if ! has systemd-analyze; then echo systemd; fi
    if ! has_postgresql; then echo postgresql; fi
    if ! has pgbouncer; then echo pgbouncer; fi
    if ! has_gst; then printf 'python3-gi\ngir1.2-gst-rtsp-server-1.0\ngstreamer1.0-plugins-base\ngstreamer1.0-plugins-good\n'; fi
    if ! has chromium-headless-shell && ! has chromium; then echo chromium-headless-shell; fi
    if ! has node; then printf 'nodejs\nnpm\n'; fi
}

# Any Chromium will do, but without its window a session costs a third.
wanted() {
    missing
    if has chromium && ! has chromium-headless-shell; then echo chromium-headless-shell; fi
}

read -ra packages <<<"$(wanted | tr '\n' ' ')"
if [ ${#packages[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing for the tests: ${packages[*]}"
        scripts/apt.sh "${packages[@]}" || echo 'apt-get could not install them: its message is above' >&2
    fi
    read -ra packages <<<"$(missing | tr '\n' ' ')"
    if [ ${#packages[@]} -gt 0 ]; then
        echo "tests that need these Debian packages will be skipped: ${packages[*]}"
        echo "to have them, as root: apt-get install ${packages[*]}"
    fi
fi

node=tests/kit/node
stamp=$(sha256sum <"$node/package-lock.json")
if [ "$(cat "$node/node_modules/.installed" 2>/dev/null)" != "$stamp" ]; then
    if ! has node || ! has npm; then
        echo 'tests with node-media-server will be skipped: node or npm is missing'
    elif echo 'installing node-media-server for the tests' && npm ci --prefix "$node" --no-audit --no-fund --loglevel=error >/dev/null; then
        echo "$stamp" >"$node/node_modules/.installed"
    else
        echo 'tests with node-media-server will be skipped: npm ci failed, its message is above'
    fi
fi
