// The answer to a delivery, read from bytes and told to its state machine: status, Retry-After, and
// whether the connection may be used again. Stores no field and no body.
//
// Why:     the status line alone says what became of the event, so it stands as soon as it is read.
//          What follows it decides about the connection only: a head that could be read in two
//          ways, breaks a rule or never ends costs the connection and never the event. Parsers of
//          libraries refuse such an answer as a whole.
// Owner:   Connection; one reader per connection, reset per exchange.
// Thread:  shard thread; no I/O, no clock.
// Bounds:  kBufferBytes of buffer, so of a line; kResponseHeadMax of heads, interim ones and the
//          trailer included; of the body what the delivery decides.
// Errors:  told to the delivery as Protocol or TooLarge.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "common/base/clock.hpp"
#include "relay/http/delivery.hpp"

namespace eventrelay::relay {

// What the fields of one head say that matters here. Thread: one owner.  Bounds: 80 bytes.
class ResponseFields {
 public:
  static constexpr std::size_t kRetryAfterMax = 40;  // an HTTP-date has 29 characters

  // One line between status line and empty line, without its end.
  void take(std::string_view line) noexcept;
  // The head breaks a rule or can be read in two ways: the connection ends with it.
  void spoil() noexcept { spoiled_ = true; }

  [[nodiscard]] bool spoiled() const noexcept;
  [[nodiscard]] bool chunked() const noexcept { return chunked_; }
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept { return length_; }
  // `minor` is that of HTTP/1.x.
  [[nodiscard]] bool keep_alive(int minor) const noexcept;
  [[nodiscard]] std::string_view retry_after() const noexcept {
    return {retry_after_.data(), retry_after_size_};
  }

 private:
  void take_length(std::string_view value) noexcept;
  void take_coding(std::string_view value) noexcept;
  void take_connection(std::string_view value) noexcept;
  void take_retry_after(std::string_view value) noexcept;

  std::array<char, kRetryAfterMax> retry_after_;
  std::uint8_t retry_after_size_ = 0;
  bool retry_after_seen_ = false;
  bool spoiled_ = false;
  bool coded_ = false;  // there is a Transfer-Encoding
  bool chunked_ = false;
  bool close_ = false;
  bool keep_ = false;
  std::optional<std::uint64_t> length_;
};

// Thread: one owner.  Bounds: see the head of this file.
class ResponseReader {
 public:
  static constexpr std::size_t kBufferBytes = 16U << 10;

  ResponseReader();

  // Forgets the last answer. Pre: nothing of it is left over.
  void reset();
  // Where the next bytes go; never empty while the delivery wants to read.
  [[nodiscard]] char* space() noexcept { return buffer_.get() + used_; }
  [[nodiscard]] std::size_t space_bytes() const noexcept { return kBufferBytes - used_; }
  // At least one byte of an answer has come.
  [[nodiscard]] bool touched() const noexcept { return touched_; }
  // Tells `delivery` what these bytes mean; returns what it wants next.
  [[nodiscard]] Delivery::Action received(std::size_t bytes, Delivery& delivery, WallTime now);
  // The peer closed in order: the end of a body that has no length, else a broken answer.
  [[nodiscard]] Delivery::Action ended(Delivery& delivery);
  // The connection broke: Reset only if nothing of an answer has come, so that a kept connection
  // is replaced only then.
  [[nodiscard]] Delivery::Action broken(Delivery& delivery) const;

 private:
  enum class At : std::uint8_t {
    StatusLine,
    Fields,
    Length,
    UntilClose,
    ChunkSize,
    ChunkData,
    ChunkEnd,
    Trailer,
  };
  using Action = Delivery::Action;

  [[nodiscard]] Action parse(Delivery& delivery, WallTime now);
  [[nodiscard]] bool in_body_bytes() const noexcept;
  [[nodiscard]] Action on_bytes(Delivery& delivery);
  // Nothing: no whole line has come.
  [[nodiscard]] std::optional<std::string_view> take_line();
  [[nodiscard]] Action on_line(std::string_view line, Delivery& delivery, WallTime now);
  [[nodiscard]] Action on_status_line(std::string_view line, Delivery& delivery);
  [[nodiscard]] Action on_head_end(Delivery& delivery, WallTime now);
  [[nodiscard]] Action on_chunk_size(std::string_view line, Delivery& delivery);
  // What has come of a line can not become a status line.
  [[nodiscard]] bool is_no_answer() const noexcept;
  [[nodiscard]] Action on_full(Delivery& delivery);
  void compact();

  std::unique_ptr<char[]> buffer_;
  std::size_t start_ = 0;    // parsed up to here
  std::size_t scanned_ = 0;  // no line ends before this
  std::size_t used_ = 0;
  At at_ = At::StatusLine;
  int status_ = 0;
  int minor_ = 1;
  std::uint64_t remaining_ = 0;  // bytes of the body or of the chunk
  std::size_t head_bytes_ = 0;   // of heads and trailer, interim ones included
  bool cut_line_ = false;        // the rest of a line that does not fit is passed over
  bool bare_line_end_ = false;   // the last line ended with LF alone
  bool touched_ = false;         // at least one byte of an answer has come
  ResponseFields fields_;
};

}  // namespace eventrelay::relay
