# SPDX-License-Identifier: GPL-2.0-only
# Sourced where packages of another architecture than the machine's own are needed. They come with an apt state of their
# own and are only unpacked: nothing is written to /etc/apt, nothing installed.
# shellcheck shell=bash

# use_foreign ARCH: after this, apt_cache, depends and fetch ask for that architecture's packages of the same release.
use_foreign() {
	local state=${cache:?}/foreign-$1 sources keyring=/usr/share/keyrings/debian-archive-keyring.gpg options="arch=$1"
	[ ! -e "$keyring" ] || options+=" signed-by=$keyring"
	# Other people's archives may not have it.
	# shellcheck disable=SC2016
	sources=$(APT_CONFIG='' apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Identifier: Packages' 'Origin: Debian' | sort -u | sed "s,^,deb [$options] ,")
	[ -n "$sources" ] || die "apt's configuration names no Debian mirror"
	# Written once: apt goes by the age of these files.
	[ "$sources" = "$(cat "$state/sources.list" 2> /dev/null)" ] || write_foreign "$@"
	export APT_CONFIG=$state/apt.conf
	# shellcheck disable=SC2034
	apt_state=$state
	[ -n "$(find "$state/updated" -mtime -1 2> /dev/null)" ] || update_foreign "$@"
}

# It uses its caller's names.
write_foreign() {
	mkdir -p "$state"/{lists,cache/archives}/partial
	rm -f "$state/updated"
	: > "$state/status"
	cat > "$state/apt.conf" <<-END
	APT::Architecture "$1";
	APT::Architectures { "$1"; };
	Dir::State "$state";
	Dir::State::lists "lists";
	Dir::State::status "$state/status";
	Dir::Cache "$state/cache";
	Dir::Etc::sourcelist "$state/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	APT::Sandbox::User "root";
	END
	printf '%s\n' "$sources" > "$state/sources.list"
}

update_foreign() {
	say "updating the package lists of $1"
	if apt-get -qq update < /dev/null >&2; then
		touch "$state/updated"
	else
		[ -e "$state/updated" ] || die "no package lists of $1"
	fi
}
