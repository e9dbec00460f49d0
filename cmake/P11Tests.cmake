# How tests are declared. One ctest entry per binary: processes are dear here, and
# `ctest --output-on-failure` names the failing case anyway.
#
#   p11shim_test(NAME sources... [LIBS libs...] [LABELS labels...] [TIMEOUT s] [SERIAL] [CMOCKA])
#   p11shim_script_test(NAME program [ARGS args...] [LABELS ...] [TIMEOUT s] [SERIAL])
#   p11shim_fuzz_target(NAME sources... [LIBS libs...] [CORPUS dir])
#
# Sources are relative to the calling folder. GoogleTest's main is linked unless CMOCKA.
# Every test finds the build and the sources by tests/places.h, scripts by the environment variables
# P11TEST_BUILD_DIR and P11TEST_SOURCE_DIR.
#
# Label `clients`: starts programs that we did not build, which would lack a sanitizer's
# runtime, so scripts/test.sh leaves them out of sanitizer builds (ctest -LE clients).
# A test that exits with 77 is reported as skipped: its tool is missing here.

set(P11SHIM_SUPPRESSIONS ${PROJECT_SOURCE_DIR}/tests/sanitizers)
set(P11SHIM_TEST_ENVIRONMENT
  P11TEST_BUILD_DIR=${PROJECT_BINARY_DIR}
  P11TEST_SOURCE_DIR=${PROJECT_SOURCE_DIR}
  P11TEST_SANITIZE=${P11SHIM_SANITIZE}
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
  LSAN_OPTIONS=suppressions=${P11SHIM_SUPPRESSIONS}/leaks.supp:print_suppressions=0
  UBSAN_OPTIONS=print_stacktrace=1
  TSAN_OPTIONS=suppressions=${P11SHIM_SUPPRESSIONS}/threads.supp:halt_on_error=1:second_deadlock_stack=1)
set(P11SHIM_FUZZ_SECONDS 10 CACHE STRING "How long each fuzz target runs under ctest")

function(p11shim_register_test name)
  cmake_parse_arguments(T "SERIAL" "TIMEOUT" "LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  if(NOT P11SHIM_SANITIZE STREQUAL "none")
    math(EXPR T_TIMEOUT "${T_TIMEOUT} * 4")
  endif()
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}" SKIP_RETURN_CODE 77
    ENVIRONMENT "${P11SHIM_TEST_ENVIRONMENT}")
  if(T_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

function(p11shim_test name)
  cmake_parse_arguments(T "CMOCKA;SERIAL" "TIMEOUT" "LIBS;LABELS" ${ARGN})
  add_executable(${name} ${T_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  # What is tested is optimised; a test itself runs once for each time it is compiled.
  target_compile_options(${name} PRIVATE -O0 -U_FORTIFY_SOURCE)
  target_link_libraries(${name} PRIVATE p11shim_headers ${T_LIBS} test_places)
  if(T_CMOCKA)
    target_link_libraries(${name} PRIVATE PkgConfig::cmocka)
  else()
    target_link_libraries(${name} PRIVATE GTest::gtest GTest::gtest_main)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set(serial)
  if(T_SERIAL)
    set(serial SERIAL)
  endif()
  p11shim_register_test(${name} ${serial} TIMEOUT ${T_TIMEOUT} LABELS ${T_LABELS})
endfunction()

function(p11shim_script_test name program)
  cmake_parse_arguments(T "SERIAL" "TIMEOUT" "ARGS;LABELS" ${ARGN})
  cmake_path(ABSOLUTE_PATH program BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  add_test(NAME ${name} COMMAND ${program} ${T_ARGS})
  set(serial)
  if(T_SERIAL)
    set(serial SERIAL)
  endif()
  p11shim_register_test(${name} ${serial} TIMEOUT ${T_TIMEOUT} LABELS ${T_LABELS})
endfunction()

# A source defines LLVMFuzzerTestOneInput. With P11SHIM_FUZZ it is fuzzed for a short while
# from its corpus; otherwise the corpus is replayed once, so each seed is a regression test.
add_custom_target(fuzz_targets)

function(p11shim_fuzz_target name)
  cmake_parse_arguments(T "" "CORPUS" "LIBS" ${ARGN})
  set(corpus)
  if(T_CORPUS)
    cmake_path(ABSOLUTE_PATH T_CORPUS BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE corpus)
  endif()
  add_executable(${name} ${T_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE p11shim_headers ${T_LIBS})
  if(P11SHIM_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(grown ${CMAKE_CURRENT_BINARY_DIR}/${name}.corpus)
    file(MAKE_DIRECTORY ${grown})
    add_test(NAME ${name} COMMAND ${name} -max_total_time=${P11SHIM_FUZZ_SECONDS}
             -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 ${grown} ${corpus})
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/replay_corpus.cpp)
    add_test(NAME ${name} COMMAND ${name} ${corpus})
  endif()
  add_dependencies(fuzz_targets ${name})
  p11shim_register_test(${name} LABELS fuzz)
endfunction()
