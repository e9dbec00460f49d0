# Precompiled headers, for whole builds without a compiler cache: they halve the time of what includes much.
# Sources never rely on them: the ordinary build does without.
option(P11SHIM_PRECOMPILE "Precompile the headers that most sources of a target include" OFF)

function(p11shim_precompile target)
  if(P11SHIM_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()
