# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the scripts beside it.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm/../.." && pwd)
build=$top/build
cache=${XDG_CACHE_HOME:-~/.cache}/pindrop
kernels="6.1 6.12"

# Variables given to the outer make must not reach kbuild or lib.mk.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

say() { printf '%s\n' "pindrop: $*" >&2; }
die() { say "$*"; exit 1; }

is_debian() { command -v apt-get >/dev/null && grep -q '^ID=debian' /etc/os-release; }

build_user() { make -s -C "$top/userspace" O="$build/user" >&2 || die "userspace does not build"; }

# depends REGEX PACKAGE...: the packages matching REGEX that the candidates of PACKAGE depend on.
# Some images turn apt's own index of its lists off, which makes each question take a second.
depends() {
	local regex=$1
	shift
	mkdir -p "$cache"
	LC_ALL=C apt-cache -o Dir::Cache::pkgcache="$cache/pkgcache.bin" depends "$@" 2> /dev/null |
		sed -nE "s/^ *\|?Depends: ($regex)$/\1/p"
}

# fetch DIR PACKAGE...: unpack packages into DIR without installing them. DIR appears whole or not at all.
fetch() {
	local dir=$1 tmp deb
	shift
	[ ! -d "$dir" ] || return 0
	say "downloading $*"
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/fetch.XXXXXX")
	mkdir "$tmp/debs" "$tmp/tree"
	# apt's own user cannot write below the cache, and says so.
	(cd "$tmp/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@") >&2 || {
		rm -rf "$tmp"
		die "cannot download $*; if the package lists are old, run 'apt-get update'"
	}
	for deb in "$tmp"/debs/*.deb; do dpkg-deb -x "$deb" "$tmp/tree"; done
	${FETCHED:-:} "$tmp/tree"
	mkdir -p "$(dirname "$dir")"
	mv -T "$tmp/tree" "$dir" 2>/dev/null || [ -d "$dir" ]
	rm -rf "$tmp"
}
