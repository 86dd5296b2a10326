// Strong ids: a partition can never be passed where an offset is meant.
//
// Thread: any.  Bounds: trivially copyable, no allocation.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace eventrelay {

// An integer with a meaning of its own. `Tag` names the meaning.
// Bounds: as `Rep`.
template <class Tag, class Rep>
struct StrongId {
  Rep value{};

  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
};

using InstanceId = StrongId<struct InstanceTag, std::uint64_t>;  // element instance, decimal
using Partition = StrongId<struct PartitionTag, std::int32_t>;   // Kafka partition number
using Offset = StrongId<struct OffsetTag, std::int64_t>;         // Kafka offset in a partition

}  // namespace eventrelay

template <class Tag, class Rep>
struct std::hash<eventrelay::StrongId<Tag, Rep>> {
  std::size_t operator()(const eventrelay::StrongId<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
