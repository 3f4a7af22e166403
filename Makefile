# Panal's targets. `make` alone lists them; what they do is in scripts/, so that it can be read and run by itself.

SHELL := bash

PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 30s

export PREFIX DESTDIR FUZZTIME
export CGO_ENABLED := 0

.DEFAULT_GOAL := help

# Some targets install packages for those after them, and tests want the processors for themselves.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: quickstart
quickstart: deps-run deps-guests build ## install what is missing, then boot a Debian guest
	@scripts/quickstart

.PHONY: build
build: ## build the static binary bin/panal
	@scripts/build.sh

.PHONY: install
install: build ## put binary, units, completions and manual pages below DESTDIR and PREFIX
	@scripts/install.sh

.PHONY: deps
deps: ## install by apt what running and testing need
	@scripts/deps run guests test lint

.PHONY: deps-run deps-guests deps-bench
deps-run deps-guests deps-bench: deps-%:
	@scripts/deps $*

.PHONY: guests
guests: deps-guests ## build the guests that tests boot, unless they are there
	@scripts/guests.sh

.PHONY: test
test: deps guests ## install what is missing, then run every test
	@scripts/test.sh

.PHONY: test-short
test-short: ## run the tests that boot nothing
	@scripts/test.sh -short

.PHONY: lint
lint: ## vet, staticcheck, gofumpt, go.mod, shell scripts
	@scripts/lint.sh

.PHONY: format
format: ## rewrite the sources as gofumpt wants them
	@scripts/lint.sh --fix

.PHONY: golden
golden: ## renew the golden files after a change that was meant
	@scripts/golden.sh

.PHONY: bench
bench: deps-run deps-guests deps-bench build guests ## compare our times with our peers'; BENCH=start,many chooses parts
	@scripts/bench.sh

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each
	@scripts/fuzz.sh

.PHONY: cover
cover: deps guests ## test coverage: the total, and build/cover.html
	@scripts/cover.sh

.PHONY: clean
clean: ## remove what building and testing left
	rm -rf bin build
