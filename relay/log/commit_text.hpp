// What a commit of `events` says beside its offset: the finished ranges above it, and when the log
// began.
//
//   1:2,6@1700000000000      ranges as OffsetLedger has them, then milliseconds since 1970
//
// Why:     a topic that was made anew under the same name has other records at the same offsets;
//          its first one is younger, so the next owner can tell that a position is not of this log.
// Owner:   none.  Thread: any; pure.  Bounds: kMetadataMax bytes.
// Errors:  none; what can not be read says nothing.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kMetadataMax = 4096;  // offset.metadata.max.bytes of a broker
inline constexpr std::size_t kCommitRangesMax = kMetadataMax - 24;

struct CommitText {
  std::string ranges;
  // The first record of the log has no later time; nothing: not known.
  std::optional<WallTime> begun;
};

[[nodiscard]] inline std::string encode(const CommitText& text) {
  if (!text.begun) return text.ranges;
  return text.ranges + '@' + std::to_string(unix_ms(*text.begun));
}

[[nodiscard]] inline CommitText decode_commit(std::string_view metadata) {
  CommitText text;
  const std::size_t at = metadata.rfind('@');
  text.ranges = metadata.substr(0, at);
  if (at == std::string_view::npos) return text;
  const std::string_view digits = metadata.substr(at + 1);
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ms);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  if (whole && ms >= 0) text.begun = WallTime{std::chrono::milliseconds{ms}};
  return text;
}

}  // namespace eventrelay::relay
