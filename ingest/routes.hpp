// Target of a request -> element and instance; the shape of the event URLs and nothing else.
//
// Why:     /events/{element} is an application-wide hook, /events/{element}/{id} one instance's;
//          the id is the base64 of its decimal form, with or without padding, or the decimal form.
// Thread:  any; pure.
// Bounds:  element kElementMax bytes, id 20 digits; no allocation.
// Errors:  UnknownPath, UnknownInstance: the same 404 for every caller.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/base/ids.hpp"
#include "ingest/answer.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kElementMax = 64;
inline constexpr std::size_t kNamedInstancesMax = 32;

// A target taken apart. Bounds: views into the target.
struct EventPath {
  std::string_view element;
  std::optional<InstanceId> instance;
  std::string_view query;  // without '?'
};

// `base_path` has no slash at its end. Letters keep their case.
[[nodiscard]] Expected<EventPath, IngestError> parse_event_path(std::string_view target,
                                                                std::string_view base_path);

// Decimal, no sign, no leading zero, not 0.
[[nodiscard]] std::optional<InstanceId> parse_decimal_id(std::string_view text) noexcept;

// Instances that a caller names in `Element-Instances: id[,id...]`. Bounds: kNamedInstancesMax.
struct NamedInstances {
  std::array<InstanceId, kNamedInstancesMax> ids{};
  std::size_t count = 0;
};

// MalformedRequest on anything but 1..kNamedInstancesMax different ids.
[[nodiscard]] Expected<NamedInstances, IngestError> parse_named_instances(std::string_view value);

}  // namespace eventrelay::ingest
