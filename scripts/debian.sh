#!/bin/sh
# Installs what the tests need of Debian's packages and this machine lacks. Where that is impossible it says what is
# missing and fails: a test that quietly does not run proves nothing.
set -eu

missing=
need() { # PACKAGE and how to see that it is there
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
postgres_is_there() {
	command -v postgres && command -v initdb && return
	for found in /usr/lib/postgresql/*/bin/initdb; do [ -x "$found" ] && return; done
	return 1
}
nginx_is_there() { command -v nginx || [ -x /usr/sbin/nginx ]; } # the PATH of a user may lack sbin
haproxy_is_there() { command -v haproxy || [ -x /usr/sbin/haproxy ]; }
chromium_is_there() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

need chromium chromium_is_there
need postgresql postgres_is_there
need strace command -v strace
need util-linux command -v flock
need curl command -v curl
need gcc command -v gcc
need nodejs command -v node
need npm command -v npm
need nginx-light nginx_is_there
need haproxy haproxy_is_there
[ -n "$missing" ] || exit 0

echo "installing Debian packages:$missing"
become=
if [ "$(id -u)" != 0 ]; then
	become=sudo
	command -v sudo >/dev/null || {
		echo "This needs root and there is no sudo. Install by hand:$missing" >&2
		exit 1
	}
fi
command -v apt-get >/dev/null || {
	echo "This machine has no apt-get. Install by hand what Debian calls:$missing" >&2
	exit 1
}
# The lists may be old or absent: try without, then with new ones.
install="$become env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
# shellcheck disable=SC2086 # the words are meant to be split
$install $missing || { $become apt-get update -q && $install $missing; }
