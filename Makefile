# Two commands matter: `make run` shows a container, `make test` checks everything. Each installs what it lacks.

PREFIX ?= /usr/local
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET_DIR)/x86_64-unknown-linux-gnu/release/runtime

# The packages of Debian that are needed, each behind a file that is there when it is installed.
NEEDS := /usr/bin/cc=gcc /usr/include/stdio.h=libc6-dev /usr/lib/x86_64-linux-gnu/libseccomp.a=libseccomp-dev
run test test-long defences bench: NEEDS += /var/lib/dpkg/info/busybox-static.list=busybox-static
test test-long defences bench: NEEDS += /usr/bin/strace=strace
# Somebody sits at a terminal.
test test-engines: NEEDS += tmux=tmux
# Users other than root map ids.
test test-long defences: NEEDS += newuidmap=uidmap
# Engines, and what they and their tests call; a program is looked for in PATH.
test-engines: NEEDS += newuidmap=uidmap dockerd=docker.io docker-init=tini containerd=containerd podman=podman buildah=buildah \
	runc=runc conmon=conmon iptables=iptables ip=iproute2 curl=curl /usr/lib/cni/bridge=containernetworking-plugins \
	/usr/lib/podman/netavark=netavark /var/lib/dpkg/info/busybox-static.list=busybox-static
# What makes virtual machines out of other packages, which stay in a cache and are not installed.
test-vm vm: NEEDS += mmdebstrap=mmdebstrap mke2fs=e2fsprogs

sign = $(firstword $(subst =, ,$1))
package = $(lastword $(subst =, ,$1))
there = $(or $(wildcard $(1)),$(if $(findstring /,$(1)),,$(shell command -v $(1))))
missing = $(strip $(foreach need,$(NEEDS),$(if $(call there,$(call sign,$(need))),,$(call package,$(need)))))

.NOTPARALLEL:
.PHONY: help run test test-long defences test-engines test-vm vm bench build man install clean root needs components

help:
	@echo 'make run      builds the runtime and runs examples/hello with it'
	@echo 'make test     checks everything'
	@echo 'make test-engines  the part of it that drives engines; ARGS="docker exec" runs the cases with these words'
	@echo 'make test-long  runs each race for a way out of a container 10000 times; ROUNDS=500 is what make test does'
	@echo 'make defences  replays every advisory on ours and on runc and crun if PEERS has them, and writes specs/defences.md'
	@echo 'make test-vm  checks other kernels and worlds, in virtual machines; ARGS="systemd limits" chooses worlds, kernels, tests'
	@echo 'make vm       fetches what these need to /var/cache/runtime-tests, or to VM_CACHE'
	@echo 'make bench    measures it, and the runtimes found in PEERS and PATH, side by side'
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
	$(CARGO) test --workspace --no-fail-fast
	$(MAKE) --no-print-directory test-engines

test-engines: root needs
	PEERS='$(PEERS)' $(CARGO) test --package integration --test engines -- $(ARGS)

test-long: ROUNDS ?= 10000
test-long: root needs
	ROUNDS=$(ROUNDS) $(CARGO) test --package integration --test advisories -- $(ARGS)

defences: root needs
	PEERS='$(PEERS)' $(CARGO) run --quiet --package integration --bin defences

test-vm: root needs
	$(CARGO) run --quiet --package integration --bin vm -- test $(ARGS)

vm: root needs
	$(CARGO) run --quiet --package integration --bin vm -- prepare

bench: root needs
	$(CARGO) build --release --package runtime-cli --package integration
	PEERS='$(PEERS)' $(CARGO) run --release --package integration --bin bench -- $(ARGS)

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
