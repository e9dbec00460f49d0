# Installs the programs, the unit files, the examples and the documents in GNUInstallDirs' places.
# The worker, which only proxyd starts, sits beside it: proxyd finds it there in the build
# tree and when installed, without a compiled-in path.

install(TARGETS pkcs11-shim pkcs11-trace proxyd proxyd-worker shimctl
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(P11SHIM_UNIT_DIR lib/systemd/system CACHE STRING "Where the systemd units go")
foreach(unit proxyd.service proxyd.socket shimctl-rotate.service)
  configure_file(systemd/${unit}.in systemd/${unit} @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/systemd/${unit} DESTINATION ${P11SHIM_UNIT_DIR})
endforeach()
install(FILES systemd/shimctl-rotate.timer DESTINATION ${P11SHIM_UNIT_DIR})
install(FILES systemd/p11shim.sysusers DESTINATION lib/sysusers.d RENAME p11shim.conf)
install(FILES systemd/p11shim.tmpfiles DESTINATION lib/tmpfiles.d RENAME p11shim.conf)

install(DIRECTORY conf docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# shimctl's is made with it; proxyd's, which needs help2man, by `make man`.
foreach(page proxyd.8 shimctl.1)
  string(REGEX REPLACE ".*\\." "" section ${page})
  install(FILES ${PROJECT_BINARY_DIR}/man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} OPTIONAL)
endforeach()

install(FILES completions/shimctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME shimctl)
install(FILES completions/_shimctl DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES completions/shimctl.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
