// Ids of events: derived from the provider's stable id where there is one, else UUIDv7.
//
// Why:     a provider that sends again must yield the same event id everywhere, on every replica,
//          without anybody remembering anything.
// Thread:  functions: any; EventIds: one owner.
// Bounds:  36 characters; no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kEventIdSize = 36;
using EventIdText = std::array<char, kEventIdSize>;

// First 128 bits of SHA-256(instance in decimal, line end, provider id), as UUID version 8.
[[nodiscard]] EventIdText derived_event_id(InstanceId instance, std::string_view provider_id);

// UUIDv7 (RFC 9562): time first, then a counter, so that ids of one owner only ever grow.
// Thread: one owner.  Bounds: 4096 ids a millisecond, beyond which it borrows from the next.
class EventIds {
 public:
  [[nodiscard]] EventIdText next(WallTime now, std::uint64_t random) noexcept;

 private:
  std::uint64_t last_ms_ = 0;
  std::uint32_t counter_ = 0;
};

}  // namespace eventrelay::ingest
