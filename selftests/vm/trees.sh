# SPDX-License-Identifier: GPL-2.0-only
# Sourced where device trees are built.
# shellcheck shell=bash
# shellcheck source=foreign.sh
. "${vm:?}/foreign.sh"

# What the overlays name, and where that is in trees that have lost the names, or part of it.
labels='
bcm2837-rpi-3-b.dtb        dma           /soc/dma@7e007000 /soc/dma-controller@7e007000
bcm2837-rpi-3-b.dtb        intc          /soc/interrupt-controller@7e00b200
zynqmp-zcu102-rev1.0.dtb   fpd_dma_chan1 /axi/dma-controller@fd500000
'

# compile_tree SOURCE OUTPUT: dtc has no word for it: a warning is an error.
compile_tree() {
	local said
	said=$(dtc -@ -I dts -O dtb -o "$2" "$1" 2>&1) || : "${said:=dtc failed}"
	[ -z "$said" ] || { printf '%s\n' "$said"; return 1; }
}

# The two trees, of the whole package.
only_trees() {
	local name
	for name in broadcom/bcm2837-rpi-3-b xilinx/zynqmp-zcu102-rev1.0; do
		mv "$1"/usr/lib/linux-image-*/"$name.dtb" "$1/" || die "no $name.dtb in Debian's kernel"
	done
	find "$1" -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
}

# debian_trees SERIES: set "debian" to the directory of the two, as they are in Debian's arm64 kernel of that series.
# Fails with 2 when the release has none. From then on apt is asked for arm64's packages.
declare -A debian_known=()
debian_trees() {
	local image
	debian=${debian_known[$1]:-}
	[ -z "$debian" ] || return 0
	is_debian || die "not Debian: no device trees of its kernels"
	use_foreign arm64
	image=$(image_of "$1" arm64) || { say "the release carries no kernel $1 for arm64"; return 2; }
	debian=${cache:?}/trees/${image#linux-image-}
	FETCHED=only_trees fetch "$debian" "$image" || return 1
	debian_known[$1]=$debian
}

# number_node DTB PATH: what has no number cannot be referred to.
number_node() {
	local highest
	! fdtget "$1" "$2" phandle > /dev/null 2>&1 || return 0
	highest=$(dtc -q -I dtb -O dts "$1" | sed -nE 's/^\s*phandle = <(0x[0-9a-f]+)>;$/\1/p' |
		while read -r number; do echo $((number)); done | sort -n | tail -n 1)
	fdtput "$1" "$2" phandle $((highest + 1))
}

# label_nodes DTB: give the copy of one of Debian's trees the names that it was built without.
label_nodes() {
	local name label path paths
	while read -r name label paths; do
		[ "$name" = "${1##*/}" ] || continue
		! fdtget "$1" /__symbols__ "$label" > /dev/null 2>&1 || continue
		for path in $paths; do
			fdtget -p "$1" "$path" > /dev/null 2>&1 || continue
			number_node "$1" "$path"
			fdtput -p -t s "$1" /__symbols__ "$label" "$path"
		done
		fdtget "$1" /__symbols__ "$label" > /dev/null || { echo "$name: no $label in $paths"; return 1; }
	done <<< "$labels"
}

# guest_tree MACHINE SERIES VARIANT OUTPUT: the tree that a guest boots with; VARIANT may be nothing. It is never seen
# half done.
guest_tree() (
	source=${top:?}/dts
	tmp=$(mktemp -d "${build:?}/tree.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	case $1 in
	raspi3b)
		base=$tmp/bcm2837-rpi-3-b.dtb
		overlays=(pindrop-raspberrypi3 qemu/raspi3b)
		debian_trees "$2" || exit
		cp "$debian/${base##*/}" "$base"
		label_nodes "$base"
		;;
	zcu102)
		base=$tmp/zcu102.dtb
		overlays=(pindrop-zynqmp)
		compile_tree "$source/qemu/zcu102.dts" "$base"
		;;
	*) die "MACHINE=$1 is neither raspi3b nor zcu102" ;;
	esac
	[ -z "$3" ] || overlays+=("qemu/$1-$3")
	[ -e "$source/${overlays[-1]}.dtso" ] || die "$1 has no device tree '$3'"
	for overlay in "${overlays[@]}"; do
		compile_tree "$source/$overlay.dtso" "$tmp/${overlay##*/}.dtbo"
		applied+=("$tmp/${overlay##*/}.dtbo")
	done
	fdtoverlay -i "$base" -o "$tmp/whole" "${applied[@]}" >&2
	mv "$tmp/whole" "$4"
)
