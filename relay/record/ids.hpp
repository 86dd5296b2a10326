// The names and results that several stages of the relay share.
//
// Why:     a stage may know what another one is called without including it; so all arrows between
//          the folders point one way.
// Thread:  values.  Bounds: none.  Errors: none.
#pragma once

#include <cstdint>

#include "common/base/ids.hpp"

namespace eventrelay::relay {

// Counts assignments of one partition; a completion carries the epoch it began in.
using Epoch = std::uint32_t;

// Names a backlog cursor for as long as the process lives; one that is gone is simply not found.
// 0: no cursor, the live path.
using CursorId = StrongId<struct CursorTag, std::uint64_t>;
inline constexpr CursorId kLivePath{};

// The 128 bits of an event id.
struct EventBits {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const EventBits&, const EventBits&) = default;
};

}  // namespace eventrelay::relay
