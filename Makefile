# A thin front: `make` builds into build/, `make test` is what CI runs, `make demo` shows it.

.PHONY: all deps demo test bench bench-pools man install clean format

all:
	scripts/build.sh release

deps:
	scripts/install-deps.sh

demo:
	scripts/install-deps.sh build
	scripts/demo.sh

test: deps
	scripts/test.sh

bench: all
	scripts/bench.sh

bench-pools: all
	scripts/bench-pools.sh

man:
	scripts/man.sh

install:
	cmake --install build

format:
	scripts/format.sh

clean:
	rm -rf build build-asan build-tsan build-fuzz build-clang
