// Strict decoder of `Transfer-Encoding: chunked`, in place, for the sources that ask for it.
//
// Why:     chunk extensions, trailers and loose line ends are where two parsers disagree; whatever
//          is not plain is refused.
// Owner:   the session.  Thread: shard-local; pure.
// Bounds:  body_max decoded bytes, kChunkExtensionMax per extension, no trailer; no allocation.
// Errors:  MalformedRequest, BodyTooLarge; the connection is beyond repair behind either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/expected.hpp"
#include "ingest/answer.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kChunkExtensionMax = 256;

// Reads coded bytes from a buffer and moves the body together at its front.
//
//   buffer: [ body so far | gap | coded bytes not read yet ]
//
// Thread: shard-local.  Bounds: see above.
class ChunkedDecoder {
 public:
  explicit ChunkedDecoder(std::size_t body_max) noexcept : body_max_(body_max) {}

  // Decodes `coded`, bytes that follow those of the call before, and writes the body bytes among
  // them to `out`, which is at or before `coded.data()` (in place) or elsewhere. Returns how many
  // bytes of `coded` it has used: all of them, unless the body has ended.
  [[nodiscard]] Expected<std::size_t, IngestError> decode(std::string_view coded,
                                                          char* out) noexcept;
  // Body bytes written by the last decode().
  [[nodiscard]] std::size_t written() const noexcept { return written_; }
  [[nodiscard]] std::size_t body_size() const noexcept { return body_size_; }
  [[nodiscard]] bool done() const noexcept { return state_ == State::Done; }

 private:
  enum class State : std::uint8_t {
    SizeFirst,  // at least one digit is due
    Size,       // further digits, extension or line end
    Extension,  // until line end
    SizeLf,     // '\n' behind the size line
    Data,       // left_ bytes of the chunk
    DataCr,     // "\r\n" behind the chunk
    DataLf,
    EndCr,  // "\r\n" behind the last chunk: a trailer would begin here
    EndLf,
    Done,
  };

  [[nodiscard]] bool step(char c) noexcept;
  [[nodiscard]] bool size_digit(char c) noexcept;

  std::size_t body_max_;
  State state_ = State::SizeFirst;
  std::uint64_t left_ = 0;
  unsigned digits_ = 0;
  std::size_t extension_ = 0;
  std::size_t written_ = 0;
  std::size_t body_size_ = 0;
};

}  // namespace eventrelay::ingest
