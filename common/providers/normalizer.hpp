// Provider JSON -> the normalised fields of an event, in one pass that checks the whole document.
//
// Why:     routing and filters need five fields; everything else is stored as it came.
// Owner:   the shard.  Thread: shard-local; pure.
// Bounds:  views into the scanner, valid until its next document; values over kFieldMax bytes or
//          outside of printable ASCII count as absent, for they become record headers.
// Errors:  MalformedJson, also for a wanted key that occurs twice.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/providers/provider_error.hpp"
#include "common/providers/stamp.hpp"
#include "common/text/json.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kFieldMax = 256;

// Empty = absent. Bounds: views, see above.
struct Normalised {
  std::string_view provider_id;
  std::string_view event_type;
  std::string_view object_type;
  std::string_view object_id;
  std::string_view date;
};

// Thread: shard-local.  Bounds: see above.
class Normalizer {
 public:
  // Box V2, developer.box.com/guides/webhooks/v2. `body` is followed by json::kPadding bytes.
  [[nodiscard]] Expected<Normalised, ProviderError> box_v2(std::string_view body);
  // Any other provider: a valid document, and the stable id under `id_key` unless that is empty.
  [[nodiscard]] Expected<Normalised, ProviderError> generic(std::string_view body,
                                                            std::string_view id_key);

 private:
  json::Scanner scanner_;
  std::array<char, kUtcSize> date_{};
};

// Trigger of Box V2 -> event type; UNKNOWN for what is read-only or not known.
[[nodiscard]] std::string_view box_event_type(std::string_view trigger) noexcept;

// `text` if it may stand in a record header, else nothing.
[[nodiscard]] std::string_view header_text(std::string_view text) noexcept;

}  // namespace eventrelay::providers
