# Two commands matter: `make run` shows a container, `make test` checks everything. Each installs what it lacks.

PREFIX ?= /usr/local
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET_DIR)/x86_64-unknown-linux-gnu/release/runtime

# The packages of Debian that are needed, each behind a file that is there when it is installed.
NEEDS := /usr/bin/cc=gcc /usr/include/stdio.h=libc6-dev /usr/lib/x86_64-linux-gnu/libseccomp.a=libseccomp-dev
run bench memory: NEEDS += /var/lib/dpkg/info/busybox-static.list=busybox-static
bench: NEEDS += /usr/bin/strace=strace
bench-server: NEEDS += ab=apache2-utils /var/lib/dpkg/info/busybox-static.list=busybox-static
# Tests put busybox into containers, sit at a terminal, are users who map ids, and see by tracing what is executed.
TESTS := test test-vm test-long test-faults test-faults-systemd test-concurrency test-cycles test-mutants defences fuzz
$(TESTS): NEEDS += /var/lib/dpkg/info/busybox-static.list=busybox-static newuidmap=uidmap strace=strace
$(TESTS) test-engines: NEEDS += tmux=tmux
# Engines, and what they and their tests call; a program is looked for in PATH.
test-engines: NEEDS += newuidmap=uidmap dockerd=docker.io docker-init=tini containerd=containerd podman=podman buildah=buildah \
	runc=runc conmon=conmon iptables=iptables ip=iproute2 curl=curl /usr/lib/cni/bridge=containernetworking-plugins \
	/usr/lib/podman/netavark=netavark /var/lib/dpkg/info/busybox-static.list=busybox-static
# What makes virtual machines out of other packages, which stay in a cache and are not installed.
test test-vm test-faults-systemd vm memory: NEEDS += mmdebstrap=mmdebstrap mke2fs=e2fsprogs

# The fuzzer is written in C++.
fuzz: NEEDS += g++=g++

define newline

	
endef
FAULTS := $(TARGET_DIR)/x86_64-unknown-linux-gnu/debug/faults

sign = $(firstword $(subst =, ,$1))
package = $(lastword $(subst =, ,$1))
there = $(or $(wildcard $(1)),$(if $(findstring /,$(1)),,$(shell command -v $(1))))
missing = $(strip $(foreach need,$(NEEDS),$(if $(call there,$(call sign,$(need))),,$(call package,$(need)))))

.NOTPARALLEL:
.PHONY: $(TESTS) help run test-engines vm memory bench bench-server build man install clean root needs components

help:
	@echo 'make run      builds the runtime and runs examples/hello with it'
	@echo 'make test     checks everything'
	@echo 'make test-engines  the part of it that drives engines; ARGS="docker exec" runs the cases with these words'
	@echo 'make test-mutants  takes one defence after the other out of a copy, and sees whether a test notices; ARGS chooses'
	@echo 'make test-vm  the part of it without newer calls and in virtual machines, and what hardly ever differs there too;'
	@echo '              ARGS="v2 6.12 limits" runs what has these words'
	@echo 'make test-long  runs each race for a way out of a container 10000 times, and both resolvers on 100000 trees'
	@echo 'make test-faults  kills commands and lets their calls fail, at every system call; ARGS="create hooks fault=kill" chooses'
	@echo 'make test-faults-systemd  the same in a virtual machine, with cgroups that systemd makes'
	@echo 'make test-concurrency  runs sequences of commands at once; ARGS="from=0 count=100000 seconds=3600 world=host"'
	@echo 'make test-cycles  lets 10000 containers live and die in each world; CYCLES says how many'
	@echo 'make fuzz     fuzzes, guided by coverage; ARGS="config state 300" chooses targets, and seconds for each'
	@echo 'make defences  replays every advisory on ours and on the runtimes found in PEERS and PATH, and writes specs/defences.md'
	@echo 'make vm       fetches what these need to /var/cache/runtime-tests, or to VM_CACHE'
	@echo 'make memory   finds the smallest memory that containers start with, beside the runtimes found in PEERS'
	@echo 'make bench    measures it, and the runtimes found in PEERS and PATH, side by side'
	@echo 'make bench-server  measures a server that runs a container for each request, with the library and with runtimes'
	@echo 'make install  puts the binary into $(DESTDIR)$(PREFIX)/bin'
	@echo 'make man      writes the manual pages to $(TARGET_DIR)/man'
	@echo 'make clean    removes what was built'

run: root needs build examples/hello/rootfs
	@printf '\n$$ runtime run examples/hello/\n\n'
	@$(BINARY) run examples/hello/

test: root needs components
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --workspace --no-deps
	$(CARGO) package --package runtime-core --offline --allow-dirty
	$(CARGO) test --workspace --doc
	$(CARGO) run --quiet --bin vm -- test usual
	$(MAKE) --no-print-directory test-engines

test-engines: root needs
	PEERS='$(PEERS)' $(CARGO) test --workspace --test engines -- $(ARGS)
	$(if $(ARGS),,$(CARGO) test --workspace --test protocol --test containerd)

test-long: ROUNDS ?= 10000
test-long: root needs
	ROUNDS=$(ROUNDS) $(CARGO) test --package integration --test advisories -- $(ARGS)
	$(CARGO) test --package runtime-fuzz --test bounded -- --ignored

test-mutants: root needs
	$(CARGO) run --quiet --bin mutants -- $(ARGS)

# What was tried already is not tried again. Peers in PEERS are only killed, and only at some of their calls.
test-faults: root needs
	$(CARGO) build --quiet --package runtime-cli --package integration --bins
	$(FAULTS) $(ARGS)
	$(foreach peer,$(wildcard $(addprefix $(PEERS)/,runc crun)),-RUNTIME=$(peer) $(FAULTS) fault=kill limit=60 $(ARGS)$(newline))
	$(if $(filter results=%,$(ARGS)),,$(FAULTS) only-report report=specs/faults.md)

# The same where there is a systemd: in a guest, whose results come back as an archive.
test-faults-systemd: root needs
	mkdir -p $(TARGET_DIR)/faults
	$(CARGO) run --quiet --bin vm -- run --world systemd --memory 3072 --time 100000 --built -- sh -c '\
		RUNTIME=/vm/bin/runtime /vm/bin/faults systemd results=/tmp/faults $(ARGS) >/tmp/said 2>&1; \
		tar -C /tmp/faults -c .' | tar -x -C $(TARGET_DIR)/faults
	$(FAULTS) only-report report=specs/faults.md

# It says where to go on: from=SEED.
test-concurrency: root needs
	$(CARGO) build --release --package runtime-cli --package integration
	RUNTIME=$(abspath $(BINARY)) $(dir $(BINARY))sequences $(ARGS)

test-cycles: root needs
	$(CARGO) build --release --package runtime-cli
	RUNTIME=$(abspath $(BINARY)) CYCLES=$(or $(CYCLES),10000) \
		$(CARGO) test --release --package integration --test cycles -- --nocapture

fuzz: root needs
	$(CARGO) run --quiet --package runtime-fuzz --bin campaign -- $(ARGS)

defences: root needs
	PEERS='$(PEERS)' $(CARGO) run --quiet --package integration --bin defences

test-vm: root needs
	$(CARGO) run --quiet --bin vm -- test $(ARGS)

vm: root needs
	$(CARGO) run --quiet --bin vm -- prepare

memory: root needs
	PEERS='$(PEERS)' $(CARGO) run --quiet --bin vm -- memory

bench: root needs
	$(CARGO) build --release --package runtime-cli --package integration
	PEERS='$(PEERS)' $(CARGO) run --release --package integration --bin bench -- $(ARGS)

bench-server: root needs
	$(CARGO) build --release --workspace --examples
	PEERS='$(PEERS)' $(CARGO) run --release --package integration --bin serving -- $(ARGS)

build: needs
	$(CARGO) build --release --package runtime-cli

man: build
	$(BINARY) man $(TARGET_DIR)/man

install: build
	install -D $(BINARY) $(DESTDIR)$(PREFIX)/bin/runtime

clean:
	$(CARGO) clean
	rm -rf examples/hello/rootfs

examples/hello/rootfs: examples/rootfs examples/hello/hello | needs
	examples/rootfs $@ examples/hello/hello

root:
	@[ "$$(id -u)" = 0 ] || { \
		echo 'This makes containers and worlds that take root. As root, with your Rust:'; \
		echo '    sudo env "PATH=$$PATH" "HOME=$$HOME" make $(MAKECMDGOALS)'; \
		exit 1; \
	} >&2

# Nothing is downloaded, not even the lists of packages, unless something is missing.
needs:
	@command -v $(CARGO) >/dev/null || { echo 'cargo is missing: install Rust (https://rustup.rs).' >&2; exit 1; }
	$(if $(missing),@$(apt))

# rustup's smallest profile leaves these two out.
components:
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || \
		rustup component add rustfmt clippy

define apt
if ! command -v apt-get >/dev/null; then \
	echo 'Install what these packages of Debian contain, then say make $(MAKECMDGOALS) NEEDS=: $(missing)' >&2; exit 1; \
elif [ "$$(id -u)" != 0 ]; then \
	echo 'Packages are missing: sudo apt-get install $(missing)' >&2; exit 1; \
fi; \
echo 'Installing $(missing)'; \
apt-get update --quiet && \
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends $(missing)
endef
