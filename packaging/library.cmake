# libabide as others see it: libabide.a and libabide.so of the process monitor and the reader of events, with the parts of
# the kernel layer that they stand on, position-independent, with nothing visible but the public classes; headers, a CMake package, pkg-config.
file(GLOB monitor_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/monitor/*.cc)
set(event_sources base/pattern base/text events/current events/filter events/line events/reader events/tail)
list(TRANSFORM event_sources PREPEND ${CMAKE_SOURCE_DIR}/src/)
list(TRANSFORM event_sources APPEND .cc)
set(kernel_parts address cgroup cgroup_leaf check clock epoll event_watch exit fd files folders_ahead hold log_files process program
    rlimit side_child socket spawn spawn_child spawn_clone spawn_flight spawn_outcome spawn_pool stream tree users wake)
list(TRANSFORM kernel_parts PREPEND ${CMAKE_SOURCE_DIR}/src/kernel/)
list(TRANSFORM kernel_parts APPEND .cc)

add_library(abide_public_objects OBJECT ${monitor_sources} ${event_sources} ${kernel_parts})
target_compile_options(abide_public_objects PRIVATE ${ABIDE_FLAGS} -ffunction-sections -fdata-sections)
target_compile_definitions(abide_public_objects PRIVATE
  ABIDE_HOLD_PROGRAM="${CMAKE_INSTALL_FULL_LIBEXECDIR}/abide/abide-hold")
target_include_directories(abide_public_objects PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
set_target_properties(abide_public_objects PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON)

foreach(kind IN ITEMS STATIC SHARED)
  string(TOLOWER ${kind} suffix)
  add_library(abide_library_${suffix} ${kind} $<TARGET_OBJECTS:abide_public_objects>)
  target_include_directories(abide_library_${suffix} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(abide_library_${suffix} INTERFACE cxx_std_20)
  target_link_options(abide_library_${suffix} PRIVATE ${ABIDE_LINK_FLAGS})
  set_target_properties(abide_library_${suffix} PROPERTIES OUTPUT_NAME abide)
endforeach()
set_target_properties(abide_library_static PROPERTIES EXPORT_NAME monitor)
set_target_properties(abide_library_shared PROPERTIES EXPORT_NAME monitor_shared VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_link_options(abide_library_shared PRIVATE -Wl,--gc-sections -Wl,--no-undefined
                    -Wl,--version-script=${CMAKE_SOURCE_DIR}/packaging/abide.map)
set_target_properties(abide_library_shared PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/packaging/abide.map)
add_library(abide::monitor ALIAS abide_library_static)
# The same library; its header needs C++23.
foreach(kind IN ITEMS static shared)
  add_library(abide_library_events_${kind} INTERFACE)
  target_link_libraries(abide_library_events_${kind} INTERFACE abide_library_${kind})
  target_compile_features(abide_library_events_${kind} INTERFACE cxx_std_23)
endforeach()
set_target_properties(abide_library_events_static PROPERTIES EXPORT_NAME events)
set_target_properties(abide_library_events_shared PROPERTIES EXPORT_NAME events_shared)
add_library(abide::events ALIAS abide_library_events_static)

include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/abide)
install(TARGETS abide_library_static abide_library_shared abide_library_events_static abide_library_events_shared EXPORT abide ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT library
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(EXPORT abide NAMESPACE abide:: FILE abide-config.cmake DESTINATION ${package_folder} COMPONENT library)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/abide-config-version.cmake VERSION ${PROJECT_VERSION}
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/abide-config-version.cmake DESTINATION ${package_folder} COMPONENT library)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/abide/monitor DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/abide
        COMPONENT library)
install(FILES ${CMAKE_SOURCE_DIR}/include/abide/api.hpp ${CMAKE_SOURCE_DIR}/include/abide/events.hpp
        ${CMAKE_SOURCE_DIR}/include/abide/monitor.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/abide COMPONENT library)
# Relative, so that the tree may be moved.
file(RELATIVE_PATH include_from_lib ${CMAKE_INSTALL_FULL_LIBDIR} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(${CMAKE_SOURCE_DIR}/packaging/abide.pc.in ${CMAKE_CURRENT_BINARY_DIR}/abide.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/abide.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
