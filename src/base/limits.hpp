// base/limits.hpp -- every bound of the system, in one place.  Refusing at a bound is a tested behaviour.
#pragma once

#include <cstddef>
#include <cstdint>

namespace abide::limits {

inline constexpr std::size_t kNameBytes = 64;               // service name and instance, each
inline constexpr std::size_t kServices = 20'000;            // of one instance
inline constexpr std::size_t kConfigFileBytes = 16u << 20;  // one configuration file
inline constexpr std::size_t kConfigFiles = 4096;
inline constexpr std::size_t kServiceBytes = 256u << 10;       // all text of one service, with its environment files
inline constexpr std::size_t kConfigurationBytes = 64u << 20;  // all text of all services, with instances of templates
inline constexpr std::size_t kIncludeDepth = 16;
inline constexpr std::size_t kMessageBytes = 16u << 20;  // one control message, with a whole configuration in it
inline constexpr std::size_t kRequestBytes = 1u << 20;   // one control message of somebody who may not administer
inline constexpr std::size_t kClients = 4096;            // control connections at once
inline constexpr std::size_t kClientsPerUser = 2048;
inline constexpr std::size_t kEventFields = 64;        // of an emitted event
inline constexpr std::size_t kEventBytes = 16u << 10;  // names and values of its fields
inline constexpr std::size_t kNotifyBytes = 8192;      // one notify datagram
inline constexpr std::size_t kNotifyPerTurn = 64;      // datagrams of one run taken in one turn of the loop
inline constexpr std::size_t kStatusBytes = 512;       // STATUS= text that is kept
inline constexpr std::size_t kFailureBytes = 400;      // why a probe, a reload or commands of a stop failed
inline constexpr std::size_t kLogLineBytes = 16u << 10;
inline constexpr std::size_t kOperationsKept = 256;  // results of ended operations
inline constexpr std::size_t kFdStorePerService = 64;
inline constexpr std::size_t kArgumentBytes = 128u << 10;  // one argument (MAX_ARG_STRLEN)
inline constexpr std::size_t kRecordBytes = 16u << 20;     // one journal record: an operation on all services fits
inline constexpr std::uint32_t kHistoryPerService = 8;     // past exits that `status NAME` shows

}  // namespace abide::limits
