// How large a record may be, from the door of ingest to the dead letters.
//
// Why:     one answer for ingest, the topics, the relay and the checks: what was accepted fits into
//          every topic it may have to wait in, with all headers that are added on the way.
// Thread:  any; pure.  Bounds: none.  Errors: none.
//
//   body_bytes_max        the longest body of any source
//     + kHeadersBytes     = accepted_bytes_max     what ingest hands to Kafka
//     + kBatchBytes       = max.message.bytes of `events`
//     + kParkedBytes      = max.message.bytes of the delay topics and of the dead letters
#pragma once

#include <cstddef>

#include "common/config/config.hpp"

namespace eventrelay::kafka {

inline constexpr std::size_t kHeadersBytes = 64U << 10;  // key and headers of an accepted event
inline constexpr std::size_t kBatchBytes = 64U << 10;    // the batch around a record
inline constexpr std::size_t kParkedBytes = 16U << 10;   // headers of a parked or dead event

// Of the configuration alone; a source of the registry has none of its own.
[[nodiscard]] std::size_t body_bytes_max(const Config& config) noexcept;
// Key, headers and body of an event as ingest writes it.
[[nodiscard]] std::size_t accepted_bytes_max(const Config& config) noexcept;
// Of the topic `events`.
[[nodiscard]] std::size_t events_message_bytes(const Config& config) noexcept;
// Of the topics into which a record of `events` may have to be copied.
[[nodiscard]] std::size_t parked_message_bytes(const Config& config) noexcept;
// Key, headers and body of a parked or dead event as the relay writes it.
[[nodiscard]] std::size_t parked_bytes_max(const Config& config) noexcept;

}  // namespace eventrelay::kafka
