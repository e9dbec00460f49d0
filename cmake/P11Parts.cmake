# Folders add themselves: a part exists as soon as its CMakeLists.txt does.

function(p11shim_add_part folder)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
    add_subdirectory(${folder})
  endif()
endfunction()

# Adds every direct subfolder that has a CMakeLists.txt, in alphabetical order.
function(p11shim_add_subfolders)
  file(GLOB lists CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt)
  foreach(list IN LISTS lists)
    cmake_path(GET list PARENT_PATH folder)
    add_subdirectory(${folder})
  endforeach()
endfunction()

# With P11SHIM_UNITY a target's sources of one folder are compiled at once. For whole targets only whose files use no name
# for two things of one folder.
function(p11shim_unite)
  if(NOT P11SHIM_UNITY)
    return()
  endif()
  foreach(target IN LISTS ARGN)
    get_target_property(sources ${target} SOURCES)
    get_target_property(home ${target} SOURCE_DIR)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    foreach(source IN LISTS sources)
      cmake_path(GET source PARENT_PATH group)
      string(MAKE_C_IDENTIFIER "${group}" group)
      set_source_files_properties(${home}/${source} TARGET_DIRECTORY ${target} PROPERTIES UNITY_GROUP "${target}${group}")
    endforeach()
  endforeach()
endfunction()
