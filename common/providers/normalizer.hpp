// A provider's body -> the normalised fields of its events, in one pass that checks all of it.
//
// Why:     routing and filters need six fields; everything else is stored as it came.
// Owner:   the shard.  Thread: shard-local; pure.
// Bounds:  kObjectsMax objects in one body. Views live until the next body, those of one object
//          until the next object; values over kFieldMax bytes or outside of printable ASCII count
//          as absent, for they become record headers. A stable id of that kind counts by its hash.
//          Box V2 does not allocate per event.
// Errors:  MalformedJson, also for a wanted key that occurs twice; JsonTooDeep; MalformedRequest
//          for a broken form; TooManyObjects.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/providers/provider_error.hpp"
#include "common/providers/rules.hpp"
#include "common/providers/stamp.hpp"
#include "common/text/json.hpp"
#include "common/text/utc.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kFieldMax = 256;
inline constexpr std::size_t kObjectsMax = 5000;
// Objects that one record and one notification carry; a longer list becomes several.
inline constexpr std::size_t kObjectsPerPart = 20;

// Empty = absent. Bounds: views, see above.
struct Normalised {
  std::string_view provider_id;  // of the body, not of one of its objects
  std::string_view event_type;
  std::string_view object_type;
  std::string_view object_id;
  std::string_view date;
  std::string_view route{};
};

// What a body comes with.
struct Input {
  const IncomingHead* head = nullptr;  // null: header places are absent
  std::string_view body;               // followed by json::kPadding bytes
  bool form = false;                   // application/x-www-form-urlencoded
  bool opaque = false;                 // no JSON: header places alone say what it is
};

// Thread: shard-local.  Bounds: see above.
class Normalizer {
 public:
  // Box V2, developer.box.com/guides/webhooks/v2. `body` is followed by json::kPadding bytes.
  [[nodiscard]] Expected<Normalised, ProviderError> box_v2(std::string_view body);

  // Reads a body by a provider's rules; how many objects it has, at least 1.
  [[nodiscard]] Expected<std::size_t, ProviderError> read(const Rules& rules, const Input& input);
  // The fields of one object of the body read last.
  [[nodiscard]] Expected<Normalised, ProviderError> object(std::size_t index);
  // The stable id of the body read last; empty: none.
  [[nodiscard]] std::string_view provider_id() const noexcept { return provider_id_; }

 private:
  using Text = Expected<std::string_view, ProviderError>;

  [[nodiscard]] Expected<json::Found, ProviderError> find(std::size_t index, std::string_view at,
                                                          bool in_body);
  [[nodiscard]] Text value(const Lookup& lookup, std::size_t index);
  [[nodiscard]] Text first_of(const Lookups& places, std::size_t index);
  [[nodiscard]] Text type_word(std::size_t index, std::string_view object_type);
  [[nodiscard]] Expected<void, ProviderError> read_id();
  [[nodiscard]] Expected<bool, ProviderError> join(std::size_t index, std::string& text);
  [[nodiscard]] Expected<bool, ProviderError> flag(std::string_view at);
  void hash_id(std::string_view text);

  json::Scanner scanner_;
  std::array<char, kUtcSize> date_{};
  std::array<char, 64> hashed_{};
  const Rules* rules_ = nullptr;
  Input input_;
  bool listed_ = false;  // the scanner's list holds the objects
  std::size_t count_ = 0;
  std::string text_;   // a form's JSON with its padding
  std::string lower_;  // an object type in lower case
  std::string pointer_;
  std::string_view provider_id_;
};

// Trigger of Box V2 and type of its source -> event type; UNKNOWN for what is read-only or not
// known. A file or folder is made or gone by FILE. and FOLDER. triggers alone.
[[nodiscard]] std::string_view box_event_type(std::string_view trigger,
                                              std::string_view source_type) noexcept;

// Word of an event type -> CREATED, DELETED, UPDATED for any other, UNKNOWN for none.
[[nodiscard]] std::string_view event_type_of(std::string_view word) noexcept;

// `text` if it may stand in a record header, else nothing.
[[nodiscard]] std::string_view header_text(std::string_view text) noexcept;

}  // namespace eventrelay::providers
