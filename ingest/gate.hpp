// Judges a request head field by field, before any of it is believed or its body is read.
//
// Why:     every hop that reads a request differently is a way to smuggle one; whatever two parsers
//          could understand differently is refused here, and the connection ends.
// Owner:   the shard or a session, see HeadWork; fed by its HTTP parser.
// Thread:  shard-local.
// Bounds:  kHeadFieldsMax fields, kHeadBytesMax bytes, kTargetMax bytes of target; no allocation.
// Errors:  IngestError; the first one stands and the connection must be closed behind its answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/providers/incoming_head.hpp"
#include "ingest/answer.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kTargetMax = 4096;
inline constexpr std::size_t kHeadBytesMax = 16U << 10;
inline constexpr std::uint64_t kContentLengthMax = std::uint64_t{1} << 53;

enum class ChunkedBodies : std::uint8_t { Refused, Allowed };

// One request head after the other. The views given to begin() and field() point into one buffer
// that does not move until the request is done.
// Thread: shard-local.  Bounds: see above.
class Gate {
 public:
  // `chunked`: may any source take `Transfer-Encoding: chunked`? Which one is the router's part.
  explicit Gate(ChunkedBodies chunked) noexcept : chunked_(chunked) {}

  // `version` is major * 10 + minor. Forgets the request before.
  [[nodiscard]] Expected<void, IngestError> begin(std::string_view method, std::string_view target,
                                                  unsigned version) noexcept;
  // A value that does not lie right behind its name was put together from folded lines.
  [[nodiscard]] Expected<void, IngestError> field(std::string_view name,
                                                  std::string_view value) noexcept;
  // The section is complete: what only shows with all fields on the table.
  [[nodiscard]] Expected<void, IngestError> finish() noexcept;

  // Valid as far as it was fed; content_length is known as soon as its field has passed.
  [[nodiscard]] const IncomingHead& head() const noexcept { return head_; }

 private:
  using Verdict = Expected<void, IngestError>;

  [[nodiscard]] bool folded(std::string_view name, std::string_view value) const noexcept;
  [[nodiscard]] Verdict known_field(std::string_view name, std::string_view value) noexcept;
  [[nodiscard]] Verdict content_length(std::string_view value) noexcept;
  [[nodiscard]] Verdict transfer_encoding(std::string_view value) noexcept;
  [[nodiscard]] Verdict expect(std::string_view value) noexcept;
  void connection(std::string_view value) noexcept;

  ChunkedBodies chunked_;
  IncomingHead head_;
  unsigned version_ = 0;
  std::size_t bytes_ = 0;
  unsigned hosts_ = 0;
  unsigned lengths_ = 0;
  unsigned encodings_ = 0;
  unsigned passed_over_ = 0;      // fields whose name has an underscore
  std::string_view authority_{};  // of a target in absolute form; counts instead of Host
  bool coding_is_chunked_ = false;
};

}  // namespace eventrelay::ingest
