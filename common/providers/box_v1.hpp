// Box webhooks V1: parameters in a form body or in the query, no signature, no id of the event.
//
// Why:     the fields must be taken out of parameters whose values the account's owner chose
//          (developer.box.com/guides/webhooks/v1), and an id be made up so that a repeat is known.
// Owner:   the shard.  Thread: shard-local; pure.
// Bounds:  kUsersMax users, kParametersMax parameters, kParameterBytesMax decoded bytes; no
//          allocation once warm.
// Errors:  MalformedRequest: a broken escape, a parameter twice, or more than the bounds.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/expected.hpp"
#include "common/providers/provider_error.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kUsersMax = 256;
inline constexpr std::size_t kParametersMax = 64;
inline constexpr std::size_t kParameterBytesMax = 64U << 10;

// What we read of one V1 call; parameters of other names are stored with the rest, unread.
// Bounds: views, valid until the next parse.
struct BoxV1Event {
  std::string_view event;  // uploaded, created, ...
  std::string_view item_id;
  std::string_view item_type;
  std::string_view new_item_id;
  std::string_view token;
  std::size_t token_at = 0;  // where that parameter stands in the form, with the `&` beside it
  std::size_t token_size = 0;
  bool users_named = false;  // is there a parameter userId?
  std::array<std::string_view, kUsersMax> users;
  std::size_t user_count = 0;
};

// Thread: shard-local.  Bounds: see above.
class BoxV1Parser {
 public:
  // `form` is a body of type application/x-www-form-urlencoded, or a query without '?'.
  [[nodiscard]] Expected<const BoxV1Event*, ProviderError> parse(std::string_view form);

 private:
  [[nodiscard]] bool decode(std::string_view text, std::string_view& decoded);
  [[nodiscard]] bool assign(std::string_view name, std::string_view value);
  [[nodiscard]] bool read_users(std::string_view list);

  BoxV1Event event_;
  std::string decoded_;
  unsigned seen_ = 0;
};

// Event name of V1 -> event type; UNKNOWN for what is read-only or not known.
[[nodiscard]] std::string_view box_v1_event_type(std::string_view event) noexcept;

// V1 has no id: SHA-256 over source, item, event, new item and a bucket of 10 s, in hex. The same
// call twice within a bucket is one event; two real changes of one kind within it are, too.
using BoxV1Id = std::array<char, 64>;
[[nodiscard]] BoxV1Id box_v1_provider_id(std::string_view source, const BoxV1Event& event,
                                         WallTime received);

}  // namespace eventrelay::providers
