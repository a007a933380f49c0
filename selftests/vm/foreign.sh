# SPDX-License-Identifier: GPL-2.0-only
# Sourced where packages of another architecture than the machine's own are needed.
# shellcheck shell=bash

# use_foreign ARCH: after this, apt_cache, depends and fetch ask for that architecture's packages of the same release.
use_foreign() {
	local sources
	# Other people's archives may not have it.
	# shellcheck disable=SC2016
	sources=$(APT_CONFIG='' apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Identifier: Packages' 'Origin: Debian' | sort -u | sed "s,^,deb [arch=$1 $(debian_keyring)] ,")
	[ -n "$sources" ] || die "apt's configuration names no Debian mirror"
	other_packages "$1" "$sources" "APT::Architecture \"$1\"" "APT::Architectures { \"$1\"; }"
}
