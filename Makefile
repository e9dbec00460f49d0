# A thin front: `make` builds the programs into build/, `make test` is what CI runs,
# `make demo` shows what it is about.

.PHONY: all deps demo test test-all test-release bench bench-bench bench-pools bench-shimctl man install clean format tidy

all:
	scripts/build.sh release programs

deps:
	scripts/install-deps.sh

demo:
	scripts/install-deps.sh build
	scripts/demo.sh

test: deps
	scripts/test.sh --core format release asan tsan fuzz

# All stages whole: more than two hours on two cores, without a compiler cache.
test-all: deps
	scripts/test.sh

# The release build alone, in a fifth of the time.
test-release: deps
	scripts/test.sh format release

bench: deps
	scripts/build.sh release programs p11shim-bench
	scripts/bench.sh

# How long shimctl's information commands take: seconds.
bench-shimctl: deps
	scripts/build.sh release programs
	scripts/bench_shimctl.sh

# What shimctl bench and batch promise, counted: some 10 minutes.
bench-bench: deps
	scripts/build.sh release programs p11shim-tight-loop p11fault
	scripts/prove_bench.py

# Pools of several members, over simulated HSMs: some ten minutes, most of them 10,000 operations under faults.
bench-pools: deps
	scripts/build.sh release programs p11shim-bench-pools
	build/bin/p11shim-bench-pools

man: deps all
	scripts/man.sh

install: all
	cmake --install build

format:
	scripts/format.sh

# clang-tidy on what differs from main, with the checks of .clang-tidy.
tidy:
	scripts/tidy.sh

clean:
	rm -rf build build-asan build-tsan build-fuzz build-clang
