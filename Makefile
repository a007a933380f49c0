# SPDX-License-Identifier: GPL-2.0-only
# 'make help' lists the targets and their variables.

PREFIX ?= /usr/local
kdir := $(or $(KDIR),/lib/modules/$(shell uname -r)/build)
user := $(CURDIR)/build/user
kbuild = $(MAKE) -C $(kdir) M=$(CURDIR)/driver

all: modules user

modules:
	@test -e $(kdir)/Makefile || { \
		echo "no kernel headers in $(kdir): install them, or give KDIR="; exit 1; }
	$(kbuild) modules

modules_install: modules
	$(kbuild) modules_install $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR))

user:
	$(MAKE) -C userspace O=$(user)

install: modules_install
	$(MAKE) -C userspace O=$(user) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) install

# Command-line variables reach these scripts through the environment.
bench check nightly picture run storm test test-all test-broken test-machines test-matrix test-planted test-quick:
	@selftests/vm/$@

bench-compare:
	@selftests/bench/compare "$(OLD)" build/bench/bench.json

model:
	@selftests/model/run

clean:
	rm -rf build
	$(if $(wildcard $(kdir)/Makefile),$(kbuild) clean)

define help
Targets:
  all              modules and user (default)
  modules          driver/pindrop.ko and its engines', for KDIR
  modules_install  and install them
  user             the library and the command, in build/user
  install          modules, library, command, header, man pages, udev rule
  run              build, boot a guest with a DMA device, run 'pindrop demo'
  picture          build, boot a guest with a screen: the device copies PICTURE= (a
                   PNG; without it, a planet) into what it shows, and what is seen
                   there, build/picture.png, is compared, pixel by pixel
  test             build, boot a guest per lane, run the tests in it
  test-quick       the programs that say most, on 6.12: 90 s once it is built
  test-all         the same on every kernel there is
  test-machines    the same on the machines of arm64 (or MACHINE=, several), three
                   lanes at a time
  bench            measure costs beside those of what else a program could take, in
                   one guest: build/bench/bench.json, tables, charts
  bench-compare    what is not as in OLD=, another bench.json
  check            what can be said without running it: sparse, checkpatch, …
  test-matrix      the programs about death (or TESTS=) on every machine and kernel,
                   in every IOMMU mode: a table of how long deaths take, also
                   in build/matrix/table.txt; what has passed is not run again
  storm            ROUNDS= (10000) deaths at random moments, on sim and some on
                   edu: nothing may add up
  test-planted     load faults on purpose: the debug kernel must catch each
  test-broken      leave out each protection in driver/BREAKS: a test must fail
  model            check the model of how jobs, memory and contexts end, in every
                   interleaving; without a protection it must fail
  nightly          what takes too long for every push: LANE=list lists its parts
  clean            what was built; downloads stay in ~/.cache/pindrop
Building and installing:
  KDIR=            kernel build directory; the running kernel's without it
  DESTDIR= PREFIX= where to install: under DESTDIR, PREFIX=$(PREFIX)
  WERROR=          1: warnings in userspace are errors. Whatever boots a guest
                   sets it, unless it is given empty; check always does
Testing:
  KERNEL=          6.1, 6.12, 7.3, cloud (the release's for virtual machines; or
                   6.1-cloud, …) or debug (6.12 with everything that looks for
                   mistakes; built first, 20 minutes); without it 6.1 and
                   6.12, of check the newest of the release
  TESTS="…"        only programs that begin with one of these prefixes; of the
                   model, only cases
  MACHINE=         q35 (default), or of arm64 virt-smmu, raspi3b or zcu102, with
                   6.1, 6.12 and debug (also of run); ARCH=arm64 alone is virt-smmu
  ENGINE=          edu, on q35 and virt-smmu; dmaengine, on the other two; or
                   sim: software, needs no device (also of run and picture)
  IOMMU=           strict, lazy, off, swiotlb or off28; without it strict on
                   every kernel, and off on 6.12; of dmaengine, off or swiotlb; on
                   virt-smmu, strict or lazy
  DTB=             of raspi3b and zcu102, noirq: nobody hears of the controller;
                   or coherent
  SIM_MODE=        of sim, iommu (bus addresses of its own) or direct; both
  ABI=             i386: programs and library of 32 bits on the same kernels
                   (also of run)
  QEMU=            the emulator, or newest for the newest one in Debian
  BREAK="…"        leave out protections, by their names in driver/BREAKS; of
                   test-broken, only the line with these names
  PART=            of test-broken, 1/2 or 2/2: every other line
  LANE= TURN=      of nightly: these parts; or the one whose turn it is
  ROUNDS=          of storm; PINDROP_SEED= repeats a storm by what it printed
  REPEAT=          run the programs this many times
  JOBS=            of test, guests at a time (2)
  PARTS=           of test, guests that the programs of a lane are divided among (1)
  MODE=            of bench: icount (instructions, on one processor; default), or
                   smp (ns, on two)
  QUICK=1          of bench: only what has a goal; LOCAL=1: with the running
                   kernel's driver, which has to be loaded
  TIMEOUT=         seconds for one guest (600; for run, 120; debug has 4 times)
  ONLY="…"         only these stages of check, or measures of bench (a wrong name
                   lists them)
run and test on a system that is not Debian, or with a kernel of your own:
  KERNEL_IMAGE=    bzImage, with KDIR= its build directory
  KSFT=            kernel source tree, for its kselftest and scripts
  BUSYBOX=         static busybox for the guest
endef

help:
	$(info $(help))
	@:

.PHONY: all modules modules_install user install bench check picture run storm test test-all \
	test-broken test-machines test-matrix test-planted test-quick nightly model clean help
