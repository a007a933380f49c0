# SPDX-License-Identifier: GPL-2.0-only
# 'make help' lists the targets and their variables.

PREFIX ?= /usr/local
kdir := $(or $(KDIR),/lib/modules/$(shell uname -r)/build)
user := $(CURDIR)/build/user
kbuild = $(MAKE) -C $(kdir) M=$(CURDIR)/driver
# A plain 'su' leaves a PATH without depmod and ldconfig.
export PATH := $(PATH):/usr/sbin:/sbin

# The release of the kernel in KDIR; without headers, which may have been removed since, that of the running kernel.
# include/config/kernel.release cannot be used: Debian's headers of 6.1 have upstream's version there.
utsrelease = $(shell sed -n 's/^.define UTS_RELEASE "\(.*\)"/\1/p' $(kdir)/include/generated/utsrelease.h 2> /dev/null)
release = $(or $(utsrelease),$(if $(KDIR),,$(shell uname -r)))
# The default of kbuild is extra in 6.1, and updates later.
INSTALL_MOD_DIR ?= updates
modules_dir = $(DESTDIR)/lib/modules/$(release)/$(INSTALL_MOD_DIR)
installed_modules = $(addprefix $(modules_dir)/,pindrop.ko* pindrop_*.ko*)
# Headers of a distribution are configured to sign modules but have no key, which would be an SSL error a module.
config = $(shell sed -nE 's/^CONFIG_MODULE_$1/\1/p' $(kdir)/include/config/auto.conf)
sig_key = $(or $(CONFIG_MODULE_SIG_KEY),$(call config,SIG_KEY="?([^"]*)"?$$))
has_key = $(filter pkcs11:%,$(sig_key))$(if $(sig_key),$(wildcard \
	$(filter /%,$(sig_key)) $(addsuffix /$(sig_key),$(kdir) $(kdir)/source)))
# They may also be configured for a compressor that is not installed. Modules that are not compressed load as well.
has_compressor = $(shell case "$(call config,COMPRESS_(XZ|ZSTD)=y)" in \
	(XZ) command -v xz ;; (ZSTD) command -v zstd ;; (*) echo none asked for ;; esac)
no_compressor = $(addsuffix =,$(addprefix CONFIG_MODULE_COMPRESS_,ALL XZ ZSTD))

all: modules user

headers:
	@test -e $(kdir)/Makefile || { \
		arch=$$(dpkg --print-architecture 2> /dev/null || echo ARCH); \
		echo "no kernel headers in $(kdir); of Debian, they are the package linux-headers-$$(uname -r),"; \
		echo "or linux-headers-$$arch with KDIR=/usr/src/linux-headers-VERSION; else give KDIR=, a kernel's build directory"; \
		exit 1; } >&2

compiler:
	@command -v $(firstword $(CC)) > /dev/null || { \
		echo "no C compiler '$(CC)'; of Debian, install gcc and libc6-dev"; exit 1; } >&2
	@echo '#include <stdio.h>' | $(CC) $(CPPFLAGS) $(CFLAGS) -E - > /dev/null 2>&1 || { \
		echo "'$(CC)' finds no <stdio.h>; of Debian, install libc6-dev"; exit 1; } >&2

modules: headers
	$(kbuild) modules

# kbuild's own depmod needs a System.map, which headers do not have.
modules_install: modules
	rm -f $(installed_modules)
	$(kbuild) modules_install INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) cmd_depmod=: quiet_cmd_depmod= \
		$(if $(has_key),,CONFIG_MODULE_SIG_ALL=) $(if $(has_compressor),,$(no_compressor)) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR))
	$(if $(DESTDIR),,depmod $(release))

user: compiler
	$(MAKE) -C userspace O=$(user)

install: modules_install compiler
	$(MAKE) -C userspace O=$(user) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) install

# DKMS has a directory of its own, which stays.
uninstall:
	@test "$(release)" || { echo "no kernel build directory in KDIR=$(KDIR)" >&2; exit 1; }
	rm -f $(installed_modules)
	@rmdir $(modules_dir) 2> /dev/null || :
	$(if $(DESTDIR),,test ! -d $(dir $(modules_dir)) || depmod $(release))
	$(MAKE) -C userspace O=$(user) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) uninstall

# Command-line variables reach these scripts through the environment.
bench check nightly picture run storm test test-all test-bare test-broken test-machines test-matrix test-planted test-quick:
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
  uninstall        remove what install has put there, by the same variables
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
  test-bare        the commands of a new user on minbase of Debian 12 and 13: run,
                   install, modprobe, a program, a guest, uninstall, dkms; as root
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
  RELEASE="…"      of test-bare, releases of Debian; without it "bookworm trixie"
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

.PHONY: all headers compiler modules modules_install user install uninstall bench check picture run storm test test-all \
	test-bare test-broken test-machines test-matrix test-planted test-quick nightly model clean help
