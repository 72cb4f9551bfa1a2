# Landbridge. `make help` lists the targets.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
BIN      := bin
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 2m
SOAK     ?= 1h
ROUNDS   ?= 20
TRIALS   ?= 50
RUNS     ?= 5
REQUESTS ?= 100000
SEED     ?= 1
CUTS     ?= 50

# What the tests and the demo use besides Go, as Debian package=program pairs.
PACKAGES := isc-dhcp-client=dhclient udhcpc=udhcpc dhcpcd-base=dhcpcd dnsmasq-base=dnsmasq iproute2=ip iputils-ping=ping \
            nftables=nft util-linux=nsenter dnsutils=dig netcat-openbsd=nc
# What the tests of the console run in: a browser, and what drives it (Node.js 20 or later).
BROWSER  := chromium=chromium nodejs=node npm=npm
# A router that maps ports, which has no service that would start by itself.
MAPPER   := miniupnpd-nftables=miniupnpd tinyproxy-bin=tinyproxy
# What the benchmark uses besides, and where it keeps what it builds.
RIVALS   := iperf3=iperf3 ethtool=ethtool openvpn=openvpn tinc=tincd n2n=edge
PEERS    := .cache/bench
# What the image is built with, and what it boots in.
IMAGING  := binutils=objcopy kmod=depmod mtools=mcopy dosfstools=mkfs.vfat squashfs-tools=mksquashfs fdisk=sfdisk e2fsprogs=mkfs.ext4 \
            grub-common=grub-mkimage xz-utils=xz qemu-utils=qemu-img
BOOTING  := qemu-system-x86=qemu-system-x86_64 qemu-utils=qemu-img
IMAGE    := out/image
# UPDATE_KEY=FILE signs updates of the image, and is made where there is none; CHANGES is for who updates.
MKIMAGE   = $(BIN)/mkimage -program $(BIN)/landbridge-image -initramfs $(BIN)/initramfs -version '$(VERSION)' -time $(COMMITTED) -update-key '$(UPDATE_KEY)' -changes '$(CHANGES)'
COMMITTED = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

export GOFLAGS ?= -mod=readonly
# How the program is built, to be small (docs/decisions/0006-memory.md): without cgo, with Go's former
# collector, and with functions at multiples of 8 bytes.
PROGRAM = CGO_ENABLED=0 GOEXPERIMENT=nogreenteagc $(GO) build -trimpath -ldflags '-s -w -funcalign=8 -X main.version=$(VERSION)'

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: go-version ## build bin/landbridge
	@mkdir -p $(BIN)
	$(PROGRAM) -o $(BIN)/landbridge ./cmd/landbridge

.PHONY: demo
demo: deps build ## three sites behind NAT, real hosts, one network (ONCE=1: check and exit)
	$(GO) build -trimpath -o $(BIN)/demo ./cmd/demo
	$(BIN)/demo -landbridge $(BIN)/landbridge $(if $(ONCE),-once)

.PHONY: test
test: deps browser build ## every test: pure, in memory, in namespaces, and the demo
	@./scripts/deps $(MAPPER)
	$(GO) vet ./...
	./scripts/test

.PHONY: test-modes
test-modes: deps ## all switches of the mode in 20 rounds, half of them killed at random points (ROUNDS=100: more)
	LANDBRIDGE_MODE_ROUNDS=$(ROUNDS) $(GO) test -count=1 -timeout 30m -v -run TestAKilledSwitch ./internal/e2e

.PHONY: test-takeover
test-takeover: deps ## one of a LAN's two routers dies, loses its LAN, loses its WAN, 50 times each; the gaps that hosts see (TRIALS=10: fewer)
	LANDBRIDGE_TAKEOVER_TRIALS=$(TRIALS) $(GO) test -count=1 -timeout 90m -parallel 3 -v -run TakesOverWhen ./internal/e2e

.PHONY: test-nat
test-nat: deps ## paths between members behind any two kinds of NAT, 36 pairs, 5 runs each: a table, the times judged (RUNS=1: fewer): some 6 minutes
	LANDBRIDGE_NAT_RUNS=$(RUNS) $(GO) test -count=1 -timeout 30m -parallel 3 -v -run TestMembersBehindAnyTwo ./internal/e2e

.PHONY: test-heal
test-heal: TRIALS = 30
test-heal: deps ## the relay in use, the direct path and the NAT's mappings die, 30 times each; the gaps that connections see (TRIALS=10: fewer): some 6 minutes
	LANDBRIDGE_HEAL_TRIALS=$(TRIALS) $(GO) test -count=1 -timeout 30m -parallel 3 -v -run TestConnectionsOutliveTheirPath ./internal/e2e

.PHONY: test-restarts
test-restarts: deps build ## thirty members restart at once, then a third of them is killed each 10 s for 10 minutes; living members may not lose each other (BENCH="-members 10 -for 1m": less)
	$(GO) build -trimpath -o $(BIN)/scale ./bench/scale
	$(BIN)/scale kills -landbridge $(BIN)/landbridge $(BENCH)

.PHONY: test-vlan
test-vlan: go-version ## a group for each VLAN of a trunk, in a guest (QEMU, by emulation) whose kernel has VLANs: two minutes
	@./scripts/deps $(PACKAGES) qemu-system-x86=qemu-system-x86_64 cpio=cpio kmod=depmod
	./scripts/test-vlan .cache/guest

.PHONY: deb
deb: build ## the Debian package, with the unit, the manual and completion, into out
	@./scripts/deps dpkg-dev=dpkg-deb gzip=gzip
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -tags manpages -o $(BIN)/manpages ./cmd/landbridge
	./scripts/deb $(BIN) '$(VERSION)' $(COMMITTED) out

.PHONY: image
image: image-tools ## the bootable appliance: raw, qcow2 and OVA, an update of it, SBOM and licences, into out/image (half a minute)
	$(MKIMAGE) -out $(IMAGE)
	@ls -l $(IMAGE)

.PHONY: image-check
image-check: image ## the image built once more, which must be the same, byte by byte
	umask 077; TMPDIR=/var/tmp $(MKIMAGE) -out $(IMAGE)-again
	@(cd $(IMAGE) && sha256sum landbridge.* LICENCES.txt) | tee /dev/stderr | (cd $(IMAGE)-again && sha256sum --quiet -c)
	@rm -rf $(IMAGE)-again; echo 'Two builds are the same.'

.PHONY: image-tools
image-tools: go-version
	@./scripts/deps $(IMAGING)
	@mkdir -p $(BIN)
	$(PROGRAM) -tags image -o $(BIN)/landbridge-image ./cmd/landbridge
	$(PROGRAM) -o $(BIN)/initramfs ./cmd/initramfs
	$(GO) build -trimpath -o $(BIN)/mkimage ./cmd/mkimage

.PHONY: test-image
test-image: image build ## the image boots by BIOS and UEFI, two of it join by their user-data, updates are kept and taken back (QEMU, by emulation): some minutes
	@./scripts/deps $(PACKAGES) $(BOOTING) genisoimage=genisoimage
	@[ -e /usr/share/OVMF/OVMF_CODE.fd ] || ./scripts/deps ovmf=OVMF_CODE.fd
	LANDBRIDGE_IMAGE=$(CURDIR)/$(IMAGE)/landbridge.raw LANDBRIDGE_BINARY=$(CURDIR)/$(BIN)/landbridge $(GO) test -count=1 -timeout 30m -v -run 'TheImage|UserData|TwoAppliances|UpdateOfTheImage' ./image

.PHONY: test-plug
test-plug: image build ## the image's plug is pulled at 50 random moments of leases and updates, and what wasn't flushed is lost: half an hour (CUTS=6: three minutes; SEED=N: those moments again)
	@./scripts/deps $(PACKAGES) $(BOOTING) genisoimage=genisoimage
	LANDBRIDGE_CUTS=$(CUTS) LANDBRIDGE_SEED=$(SEED) LANDBRIDGE_IMAGE=$(CURDIR)/$(IMAGE)/landbridge.raw LANDBRIDGE_BINARY=$(CURDIR)/$(BIN)/landbridge $(GO) test -count=1 -timeout 3h -v -run APulledPlug ./image

.PHONY: boot
boot: ## boot the image of make image in QEMU: screen here, console at https://127.0.0.1:8443/ (UEFI=1, KEEP=1, USER_DATA=FILE)
	@./scripts/deps $(BOOTING)
	./scripts/boot $(IMAGE)/landbridge.raw

.PHONY: lint
lint: go-version ## gofmt, vet and golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	GOFLAGS= $(GO) run $(GOLANGCI) run --allow-parallel-runners

.PHONY: fuzz
fuzz: go-version ## every fuzz target for FUZZTIME each (2m)
	./scripts/fuzz $(FUZZTIME)

.PHONY: fuzz-api
fuzz-api: deps ## a running appliance is asked 100,000 generated requests (REQUESTS=)
	LANDBRIDGE_API_REQUESTS=$(REQUESTS) $(GO) test -count=1 -timeout 30m -v -run TestAnApplianceStands ./internal/e2e

.PHONY: bench
bench: bench-deps build ## Landbridge beside other tunnels, into docs/performance.md (BENCH=-quick: minutes; BENCH=-help)
	$(GO) build -trimpath -o $(BIN)/bench ./bench
	$(BIN)/bench -landbridge $(BIN)/landbridge -cache $(PEERS) -docs docs $(BENCH)

.PHONY: bench-modes
bench-modes: deps build ## the modes beside each other and the bare network, into docs/modes.md (BENCH=-quick: a minute or two; BENCH=-help)
	@./scripts/deps iperf3=iperf3 ethtool=ethtool
	$(GO) build -trimpath -o $(BIN)/bench ./bench
	$(BIN)/bench modes -landbridge $(BIN)/landbridge -docs docs $(BENCH)

.PHONY: bench-scale
bench-scale: deps build ## what a member costs as the group grows, 10, 30 and 100 members on this machine, into docs/scale.md: a quarter of an hour (BENCH="-sizes 5,10": less)
	$(GO) build -trimpath -o $(BIN)/scale ./bench/scale
	$(BIN)/scale costs -landbridge $(BIN)/landbridge -docs docs $(BENCH)

.PHONY: simulate
simulate: ## new hosts at sites that are cut off, and conflicts when they are back, for docs/addresses.md (SEED=1)
	LANDBRIDGE_SIMULATE=$(SEED) $(GO) test -count=1 -timeout 120m -v -run TestSimulated ./internal/registry

.PHONY: bench-addresses
bench-addresses: deps build ## leases and names beside Kea, CoreDNS and dnsmasq, into docs/addresses.md (BENCH=-quick: some minutes; BENCH=-help)
	@./scripts/deps kea-admin=perfdhcp kea-dhcp4-server=kea-dhcp4 dnsperf=dnsperf ethtool=ethtool
	@GO='$(GO)' ./scripts/bench-peers $(PEERS) coredns
	$(GO) build -trimpath -o $(BIN)/bench ./bench
	$(BIN)/bench addresses -landbridge $(BIN)/landbridge -cache $(PEERS) -docs docs $(BENCH)

.PHONY: measure
measure: deps build ## times of leases and starts, round trips and memory, each against its target
	$(GO) build -trimpath -o $(BIN)/demo ./cmd/demo
	$(BIN)/demo -landbridge $(BIN)/landbridge -once -measure

.PHONY: soak
soak: deps build ## traffic for an hour over links that lose and reorder, every byte verified (SOAK=2m: for less)
	$(GO) build -trimpath -o $(BIN)/soak ./bench/soak
	$(BIN)/soak -landbridge $(BIN)/landbridge -for $(SOAK)

.PHONY: generate
generate: go-version ## generated code from its sources (the API's types)
	$(GO) generate ./...

.PHONY: assets
assets: ## the console's vendored modules, by npm, as console/web/assets/package.json pins them
	./scripts/assets

.PHONY: clean
clean: ## remove what the build made
	rm -rf $(BIN) out $(PEERS)

.PHONY: go-version
go-version:
	@command -v $(GO) >/dev/null || { echo 'Landbridge is built with Go 1.26 or later, and there is none here: get it from https://go.dev/dl/' >&2; exit 1; }

.PHONY: deps
deps: go-version
	@./scripts/deps $(PACKAGES)

.PHONY: browser
browser: deps
	@./scripts/deps $(BROWSER)
	@./scripts/browser

.PHONY: bench-deps
bench-deps: deps
	@./scripts/deps $(RIVALS)
	@GO='$(GO)' ./scripts/bench-peers $(PEERS)
