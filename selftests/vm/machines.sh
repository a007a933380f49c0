# SPDX-License-Identifier: GPL-2.0-only
# Sourced where it matters what machine a guest is. MACHINE= names it, without it ARCH= the first of its own.
# shellcheck shell=bash disable=SC2034

case ${ARCH:-} in
"") all_machines="q35 virt-smmu raspi3b zcu102" ;;
x86 | x86_64 | amd64) all_machines=q35 ;;
arm64 | aarch64) all_machines="virt-smmu raspi3b zcu102" ;;
*) die "ARCH=$ARCH is neither amd64 nor arm64" ;;
esac
machine=${MACHINE:-${all_machines%% *}}
case " $all_machines " in
*" $machine "*) ;;
*) die "MACHINE=$machine is none of what there is${ARCH:+ of ARCH=$ARCH}: $all_machines" ;;
esac

# What is the same for all of its lanes.
#   arch    of its kernel, and of the programs without ABI=i386
#   abi     of programs that are not this machine's; kernel_cross and cross begin the names of what builds for them
#   engines there are devices for, the first by default; modes that each has, the first by default
declare -A modes=([sim]="iommu direct")
case $machine in
q35) arch=amd64 engines="edu sim" modes[edu]="strict lazy off swiotlb off28" ;;
# Its memory begins at 1 GiB: without an IOMMU there is none that the driver is sure edu can reach, 28 bits.
virt-smmu) arch=arm64 engines="edu sim" modes[edu]="strict lazy" ;;
raspi3b | zcu102) arch=arm64 engines="dmaengine sim" modes[dmaengine]="off swiotlb" ;;
esac
abi='' cross='' kernel_cross=''
case $arch-${ABI:-$arch} in
amd64-amd64) ;;
amd64-i386) abi=i386 cross=i686-linux-gnu- ;;
arm64-arm64) abi=arm64 cross=aarch64-linux-gnu- kernel_cross=aarch64-linux-gnu- ;;
*) die "ABI=$ABI is not for MACHINE=$machine" ;;
esac
if [ "$arch" = arm64 ]; then
	# Debian has these for it; debug is built here.
	kernels="6.1 6.12" all_kernels="6.1 6.12 debug" cloud_kernels=
fi

# pick_engine: set "engine" to ENGINE, or to what the machine has by default.
pick_engine() {
	engine=${ENGINE:-${engines%% *}}
	case " $engines " in *" $engine "*) ;; *) die "ENGINE=$engine is none of what MACHINE=$machine has: $engines" ;; esac
	[ "$engine" = sim ] || [ -z "${SIM_MODE:-}" ] || die "SIM_MODE is for ENGINE=sim"
	[ "$engine" != sim ] || [ -z "${IOMMU:-}" ] || die "IOMMU is for devices; sim has SIM_MODE"
	[ "$engine" = dmaengine ] || [ -z "${DTB:-}" ] || die "DTB is for MACHINE=raspi3b and zcu102"
	check_mode "${IOMMU:-${SIM_MODE:-}}"
}

# check_mode MODE: is one that the engine has; nothing is the default.
check_mode() {
	case " ${modes[$engine]} " in
	*" ${1:-${modes[$engine]%% *}} "*) ;;
	*) die "the mode $1 is none of what $engine has on MACHINE=$machine: ${modes[$engine]}" ;;
	esac
}

# lane_of KERNEL ENGINE MODE [BREAK]...: its name, by which its files are found.
lane_of() {
	local lane=$1-$2-$3${DTB:+-$DTB}
	[ "$abi" != i386 ] || lane=$1-$abi-$2-$3
	[ "$machine" = q35 ] || lane=$machine-$lane
	shift 3
	echo "$lane${*:+$(printf '+%s' "$@")}"
}

# has_screen: whether graphics cards can be plugged in.
has_screen() { case $machine in q35 | virt-smmu) ;; *) return 1 ;; esac; }

# machine_packages: what it is emulated with and built for, one a line.
machine_packages() {
	case $arch in
	amd64) [ -n "${QEMU:-}" ] || echo qemu-system-x86 ;;
	arm64)
		[ -n "${QEMU:-}" ] || echo qemu-system-arm
		printf '%s\n' gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
	esac
	case $machine in
	raspi3b) echo device-tree-compiler ;;
	zcu102) printf '%s\n' device-tree-compiler xz-utils ;; # its controller's driver comes as source
	esac
	# Not gcc-multilib, which no compiler for other machines can stand beside.
	[ "$abi" != i386 ] || printf '%s\n' gcc-i686-linux-gnu libc6-dev-i386-cross
}

# Each behind a port of its own, which can be reset, fail, and lose it. The second one is there to be lost.
two_cards() {
	local i
	for i in 1 2; do
		machine_args+=(-device "pcie-root-port,id=port$i,chassis=$i,slot=$i" -device "$1,bus=port$i,id=card$i")
	done
}

# machine_args ENGINE MODE KERNEL: how to make it. Sets
#   emulator  its program              machine_args  for it
#   memory    cpus                     boot_cpus     those that the kernel starts with
#   ports     kernel log, output, and QEMU's monitor if there is a third one
#   serials   what they are to QEMU: log, out, line
#   append    for the kernel           engine_args   for the engine's module
#   card      how edu is made; tests make another one
# Of the modes: what stops a device, and where it has to bounce.
machine_args() {
	local engine=$1 mode=$2 kernel=$3
	memory=1G cpus=2 boot_cpus=1 append='' engine_args='' machine_args=() card=edu serials=(log out)
	case $engine-$mode in
	sim-*)
		# Pieces take as long as edu's: long enough to be killed in the middle of one.
		engine_args="mode=$mode delay_us=100000 devices=2" ;;
	dmaengine-*) engine_args="delay_us=100000" ;;
	esac
	case $engine-$mode in
	*-lazy) append=" iommu.strict=0" ;;
	*-strict) append=" iommu.strict=1" ;;
	# 80 MiB, in slots of 2 KiB. A board has one by itself, also if it is told to take the 64 that a PC has.
	dmaengine-swiotlb) append=" swiotlb=40960,force" ;;
	*-swiotlb) append=" swiotlb=force" ;;
	esac
	case $engine-$mode in
	edu-off | edu-swiotlb) card=edu,dma_mask=0xffffffff engine_args=dma_bits=32 ;;
	edu-off28)
		# All of memory below the 28 bits that edu can address. What KASAN takes is missed.
		memory=200M
		[ "$kernel" != debug ] || memory=250M ;;
	esac
	# To pin a huge page that is in CMA, which only arm64 has by default, 6.1 takes for a mistake: it warns, and refuses.
	[ "$arch-$kernel" != arm64-6.1 ] || append+=" cma=0"
	"machine_$machine" "$engine" "$mode" "$kernel"
}

machine_q35() {
	emulator=qemu-system-x86_64
	ports=(ttyS0 ttyS1 ttyS2) serials=(log out line)
	# A boot under QEMU 7.2 ended in a double fault right behind the allocator's cmpxchg16b, with an address in its flags.
	# Without that instruction the kernel takes a lock there.
	machine_args=(-M q35 -cpu "max,-cx16")
	# On a busy host its timer looks broken to a guest that measures it: a panic before anything is tested.
	append+=" no_timer_check"
	# For the same reason its TSC looks broken when it is measured later, and to say so the kernel patches a hot path, too.
	append+=" tsc=reliable"
	case $1-$2 in
	edu-strict | edu-lazy)
		# The IOMMU has to come before the devices it translates for.
		machine_args+=(-device "intel-iommu,intremap=on" -trace vtd_dmar_fault)
		append+=" intel_iommu=on" ;;
	esac
	[ "$1" != edu ] || two_cards "$card"
}

machine_virt-smmu() {
	local smmu=,iommu=smmuv3
	emulator=qemu-system-aarch64
	# The machine has one, a card the others.
	ports=(ttyAMA0 ttyS0 ttyS1) serials=(log)
	[ "$1" = edu ] || smmu=
	# Interrupts of cards need this interrupt controller.
	machine_args=(-M "virt,gic-version=3$smmu" -cpu cortex-a57 -device "pci-serial-2x,chardev1=out,chardev2=line")
	[ -z "$smmu" ] || machine_args+=(-trace smmuv3_record_event)
	[ "$1" != edu ] || two_cards "$card"
}

machine_zcu102() {
	emulator=qemu-system-aarch64
	ports=(ttyPS0 ttyPS1)
	machine_args=(-M xlnx-zcu102)
}

machine_raspi3b() {
	emulator=qemu-system-aarch64
	# The machine insists on four, and they cannot be brought up later.
	cpus=4 boot_cpus=2
	ports=(ttyS1 ttyAMA0) serials=(out log)
	machine_args=(-M raspi3b)
}

# One processor at a time, where there are four of them for two: it boots three times as fast.
slow_accel() { case $machine in raspi3b) echo tcg,thread=single ;; *) echo tcg,thread=multi ;; esac; }
