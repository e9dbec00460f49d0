# `make install` into a private directory. Defines stage, and prefix, lib, units as they are in it.
need cmake
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
stage=$work/stage
DESTDIR=$stage cmake --install "$build" >"$work/install.log" || { cat "$work/install.log" >&2; fail "it cannot be installed"; }
prefix=$stage$(cached CMAKE_INSTALL_PREFIX)
bin=$prefix/$(cached CMAKE_INSTALL_BINDIR)
lib=$prefix/$(cached CMAKE_INSTALL_LIBDIR)
units=$prefix/$(cached P11SHIM_UNIT_DIR)
