# SPDX-License-Identifier: GPL-2.0-only
# Sourced where packages of a newer release than the machine's own are needed.
# shellcheck shell=bash

newer=trixie
newer_state=${cache:?}/$newer-backports

# After this, apt_cache, depends and fetch ask the newer release and its backports.
use_newer() {
	local mirror option
	# shellcheck disable=SC2016
	mirror=$(APT_CONFIG='' apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' \
		'Label: Debian' | head -n 1)
	[ -n "$mirror" ] || die "apt's configuration names no Debian mirror"
	option=$(debian_keyring)
	[ -z "$option" ] || mirror="[$option] $mirror"
	other_packages "$newer-backports" "$(printf "deb $mirror %s main\n" $newer $newer-backports)" \
		"APT::Default-Release \"$newer-backports\""
}

# newer_root NAME PACKAGE...: a root that holds these packages and what they need. Prints its directory.
newer_root() (
	name=$1
	shift
	use_newer
	content=$(apt_cache show --no-all-versions "$@" | grep -E '^(Package|Version):' | cat - <(printf '%s\n' "$@") | sha256sum)
	root=$cache/roots/$name-${content:0:16}
	if [ ! -d "$root" ]; then
		say "unpacking $* of $newer-backports and what they need"
		mkdir -p "$cache/roots"
		tmp=$(mktemp -d "$cache/root.XXXXXX")
		trap 'rm -rf "$tmp"' EXIT
		mmdebstrap --quiet --variant=extract --mode="$([ "$(id -u)" = 0 ] && echo root || echo chrootless)" \
			--format=directory --aptopt="APT::Default-Release \"$newer-backports\"" \
			"${@/#/--include=}" "$newer" "$tmp/tree" "$newer_state/sources.list" >&2 ||
			die "mmdebstrap failed"
		# What the packages' own scripts would have done.
		[ ! -e "$tmp/tree/usr/bin/mawk" ] || ln -sf mawk "$tmp/tree/usr/bin/awk"
		mkdir -p "$tmp/tree"/{dev,mnt,proc}
		chmod 755 "$tmp" "$tmp/tree"
		# Somebody else may have been faster.
		mv -T "$tmp/tree" "$root" 2> /dev/null || [ -d "$root" ]
	fi
	echo "$root"
)

# in_root ROOT DIR COMMAND...: run a command in a root, with DIR as /mnt, in mount points that nobody else sees.
in_root() {
	local user=()
	[ "$(id -u)" = 0 ] || user=(--map-root-user)
	# Who is in a chroot already cannot keep them to himself: they are taken away again.
	mountpoint -q / || user+=(--propagation unchanged)
	# shellcheck disable=SC2016
	unshare --mount "${user[@]}" -- sh -ec '
		root=$1 dir=$2 status=0
		shift 2
		for tree in dev proc; do mount --rbind "/$tree" "$root/$tree"; done
		mount --bind "$dir" "$root/mnt"
		chroot "$root" env -i PATH=/usr/bin TMPDIR=/mnt LC_ALL=C.UTF-8 "$@" || status=$?
		umount -l "$root/mnt" "$root/dev" "$root/proc"
		exit $status' sh "$@"
}
