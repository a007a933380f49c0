# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the scripts beside it.
# shellcheck shell=bash disable=SC2034

set -euo pipefail

vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm/../.." && pwd)
build=$top/build
cache=${XDG_CACHE_HOME:-~/.cache}/pindrop
# What the tests run on by default, and all there is.
kernels="6.1 6.12"
all_kernels="$kernels 7.3 cloud debug"
# Of one series; of cloud, what a release has in it.
cloud_kernels="6.1-cloud 6.12-cloud 7.3-cloud"
# Where the index of apt's lists goes.
apt_state=$cache

# Variables given to the outer make must not reach kbuild or lib.mk.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL

# Time-outs are multiplied by this.
slowness() { case $1 in debug) echo 4 ;; *) echo 1 ;; esac; }

say() { printf '%s\n' "pindrop: $*" >&2; }
die() { say "$*"; exit 1; }

# begins_with NAME PREFIXES: with one of them.
begins_with() {
	local prefix
	for prefix in $2; do [[ $1 != "$prefix"* ]] || return 0; done
	return 1
}

is_debian() { command -v apt-get >/dev/null && grep -q '^ID=debian' /etc/os-release; }

# Two runs in one tree would build over each other.
lock_tree() {
	mkdir -p "$build"
	exec 9> "$build/lock"
	flock -n 9 || {
		say "waiting for the other run in this tree"
		flock 9
	}
}

# copy_changed FROM TO LISTING: make the files in TO that the command LISTING lists there those that it lists in FROM.
# One that is the same keeps its time, so that make leaves alone what was built of it; one that is not gets a new one,
# also where an older version has come back.
copy_changed() {
	local from=$1 to=$2 listing=$3 file
	(cd "$to" && "$listing") | LC_ALL=C sort | LC_ALL=C comm -23 - <(cd "$from" && "$listing" | LC_ALL=C sort) |
		while IFS= read -r file; do rm "$to/$file"; done
	(cd "$from" && "$listing") | while IFS= read -r file; do
		! cmp -s "$from/$file" "$to/$file" || continue
		mkdir -p "$(dirname "$to/$file")"
		cp "$from/$file" "$to/$file"
	done
}

# The total is the last line whatever happened, and never a good one after an early end.
# Who is ended by a signal comes here with a good status: the last command has to say that it was the last one.
passed=0 failed=0 skipped=0 ended=
total() {
	local status=$?
	[ -n "$ended" ] || status=1
	[ $status = 0 ] || [ $failed -gt 0 ] || failed=1
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ] || exit 1
}

# count_tap TAP: set ok, not_ok and skip to its results. Fails if it is not there or has not come to its end.
count_tap() {
	local plan=0
	ok=0 not_ok=0 skip=0
	[ -e "$1" ] || return 1
	read -r ok not_ok skip plan < <(awk '
		/^ok .* # SKIP/ { skip++; next }
		/^ok / { ok++ }
		/^not ok / { bad++ }
		/^1\.\.[0-9]+$/ { plan = substr($0, 4) }
		END { print ok + 0, bad + 0, skip + 0, plan + 0 }' "$1")
	[ "$plan" -gt 0 ] && [ "$plan" = $((ok + not_ok + skip)) ]
}

# pick_kernels NAME...: set "carried" to those of KERNEL there are; without KERNEL, of NAME...
pick_kernels() {
	local kernel status
	carried=(custom)
	[ -z "${KERNEL_IMAGE:-}" ] || return 0
	carried=()
	for kernel in ${KERNEL:-$*}; do
		status=0
		"$vm/kernel" "$kernel" deps > /dev/null || status=$?
		if [ $status = 0 ]; then
			carried+=("$kernel")
		elif [ $status != 2 ] || [ -n "${KERNEL:-}" ]; then
			exit 1
		else
			say "left out: the lanes on $kernel"
		fi
	done
	[ ${#carried[@]} -gt 0 ] || die "no kernel to test on"
}

# build_user [FILE]...: with more to be built than all. Sets "user" to where it is; with machines.sh, for its machine.
# Warnings are errors, unless WERROR is empty.
build_user() {
	local extra=() drm
	user=$build/user${abi:+-$abi}
	mkdir -p "$user"
	# Static, as all that is in a guest. Elsewhere it has to be there.
	if [ $# -gt 0 ] && is_debian; then
		drm=$cache/libdrm-${abi:-amd64}
		([ -z "$abi" ] || use_foreign "$abi"; fetch "$drm" libdrm-dev)
		extra=("DRM_CFLAGS=-I$drm/usr/include -I$drm/usr/include/libdrm" "DRM_LIBS=$(find "$drm" -name libdrm.a) -lm")
	fi
	# shellcheck disable=SC2154
	make -s -j"$(nproc)" -C "$top/userspace" O="$user" WERROR="${WERROR-1}" CC="${cross}gcc" AR="${cross}ar" "${extra[@]}" all \
		"$user/pindrop-static" "${@/#/$user/}" >&2 ||
		die "userspace does not build"
}

# The package lists have a lock of their own, which apt-get does not wait for.
apt_update() {
	local tries=120 said status
	while :; do
		status=0
		said=$(LC_ALL=C apt-get -qq update < /dev/null 2>&1) || status=$?
		[[ $said = *"Could not get lock"* ]] || break
		[ $((tries -= 1)) -gt 0 ] || break
		[ $tries != 119 ] || say "another package manager has the package lists: waiting for it"
		sleep 5
	done
	[ -z "$said" ] || printf '%s\n' "$said" >&2
	return $status
}

update_lists() {
	[ "$(id -u)" = 0 ] || die "the package lists are empty or old; as root: apt-get update"
	say "updating the package lists"
	# One unreachable source must not spoil the others.
	apt_update || true
}

# Some images turn apt's own index of its lists off, which makes each question take a second.
apt_cache() {
	mkdir -p "$apt_state"
	LC_ALL=C apt-cache -o Dir::Cache::pkgcache="$apt_state/pkgcache.bin" "$@" 2> /dev/null
}

# depends REGEX PACKAGE...: the packages matching REGEX that the candidates of PACKAGE depend on.
depends() {
	local regex=$1
	shift
	apt_cache depends "$@" | sed -nE "s/^ *\|?Depends: ($regex)$/\1/p"
}

# other_packages NAME SOURCES SETTING...: after this, apt_cache, depends and fetch ask for the packages of these sources,
# with these settings. They come with an apt state of their own and are only unpacked: nothing is written to /etc/apt,
# nothing installed.
other_packages() {
	local state=$cache/$1 name=$1 sources=$2
	shift 2
	# Written once: apt goes by the age of these files.
	if [ "$sources" != "$(cat "$state/sources.list" 2> /dev/null)" ]; then
		mkdir -p "$state"/{lists,cache/archives}/partial
		rm -f "$state/updated"
		: > "$state/status"
		printf '%s;\n' "Dir::State \"$state\"" "Dir::State::lists \"lists\"" "Dir::State::status \"$state/status\"" \
			"Dir::Cache \"$state/cache\"" "Dir::Etc::sourcelist \"$state/sources.list\"" \
			"Dir::Etc::sourceparts \"/dev/null\"" "Dir::Etc::preferences \"/dev/null\"" \
			"Dir::Etc::preferencesparts \"/dev/null\"" "APT::Sandbox::User \"root\"" "$@" > "$state/apt.conf"
		printf '%s\n' "$sources" > "$state/sources.list"
	fi
	export APT_CONFIG=$state/apt.conf
	apt_state=$state
	[ -z "$(find "$state/updated" -mtime -1 2> /dev/null)" ] || return 0
	say "updating the package lists of $name"
	if apt_update; then
		touch "$state/updated"
	else
		# A mirror that is being filled has some of them: what is not in those is missed by name.
		compgen -G "$state/lists/*_Packages*" > /dev/null || die "no package lists of $name"
	fi
}

# debian_keyring: an option of a source, where the machine has what it names.
debian_keyring() {
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ ! -e "$keyring" ] || echo "signed-by=$keyring"
}

# image_of SERIES ARCH: the package of a kernel's image, by its meta package, so that no ABI number is written down. SERIES
# may be "stock", for the one that the release installs; ARCH may have a flavour before it, as in "cloud-amd64".
image_of() {
	local meta image
	for meta in "linux-image-$1-$2" "linux-image-$2"; do
		# There need not be such a meta package.
		image=$(depends 'linux-image-[0-9].*' "$meta" | head -n 1) || true
		case $image in
		"linux-image-$1."*) echo "$image"; return ;;
		linux-image-*) [ "$1" != stock ] || { echo "$image"; return; } ;;
		esac
	done
	return 1
}

# missing_packages PACKAGE...: those of them that are not installed, one a line.
missing_packages() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null |
		sed -n 's/^installed //p' | sort -u |
		comm -13 - <(printf '%s\n' "$@" | sort -u)
}

# Another package manager, as a machine runs on its own now and then, is waited for.
apt_install() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=600 install "$@" < /dev/null
}

# install_packages PACKAGE...: those of them that are not there, naming them first.
install_packages() {
	local missing log=$cache/setup.log
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die "missing packages; as root: apt-get install --no-install-recommends ${missing[*]}"
	say "installing ${missing[*]}"
	mkdir -p "$cache"
	# Old package lists name files that are gone.
	apt_install "${missing[@]}" > "$log" 2>&1 || { update_lists; apt_install "${missing[@]}" > "$log" 2>&1; } ||
		{ cat "$log" >&2; die "apt-get failed"; }
}

# fetch DIR PACKAGE...: unpack packages into DIR without installing them. DIR appears whole or not at all.
# FETCHED names a function that may change the unpacked tree first.
fetch() (
	target=$1
	shift
	[ ! -d "$target" ] || exit 0
	say "downloading $*"
	mkdir -p "$(dirname "$target")"
	tmp=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	mkdir "$tmp/debs" "$tmp/tree"
	# apt's own user cannot write below the cache, and says so.
	(cd "$tmp/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@") >&2 ||
		die "cannot download $*; if the package lists are old, run 'apt-get update'"
	for deb in "$tmp"/debs/*.deb; do dpkg-deb -x "$deb" "$tmp/tree"; done
	${FETCHED:-:} "$tmp/tree"
	chmod 755 "$tmp/tree"
	# Somebody else may have been faster.
	mv -T "$tmp/tree" "$target" 2> /dev/null || [ -d "$target" ]
)
