// The answer to a delivery, read from bytes and told to its state machine: status, Retry-After, and
// whether the connection may be used again. Stores no field and no body.
//
// Why:     a delivery needs four facts of an answer; storing fields costs more than parsing them.
//          Whatever could be read in two ways ends the connection instead of being interpreted.
// Owner:   Connection; one reader per connection, reset per exchange.
// Thread:  shard thread; no I/O, no clock.
// Bounds:  kBufferBytes of buffer, so of head, chunk header and trailer too; kFieldsMax fields;
//          what is read in all is the delivery's decision.
// Errors:  told to the delivery as Protocol or TooLarge.
#pragma once

#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/clock.hpp"
#include "relay/http/delivery.hpp"

namespace eventrelay::relay {

// Keeps what a delivery needs of a response head. Thread: one owner.  Bounds: 80 bytes.
class ResponseParser final : public boost::beast::http::basic_parser<false> {
 public:
  static constexpr unsigned kFieldsMax = 64;
  static constexpr std::size_t kRetryAfterMax = 40;  // an HTTP-date has 29 characters

  ResponseParser();
  ~ResponseParser() override = default;

  [[nodiscard]] std::string_view retry_after() const noexcept {
    return {retry_after_.data(), retry_after_size_};
  }
  [[nodiscard]] int code() const noexcept { return code_; }
  // The framing can be read in two ways.
  [[nodiscard]] bool ambiguous() const noexcept { return ambiguous_; }
  // Body bytes since the last call; they are not kept.
  [[nodiscard]] std::size_t take_body_bytes() noexcept { return std::exchange(body_bytes_, 0); }

 private:
  using View = boost::beast::string_view;
  using Error = boost::beast::error_code;

  void on_request_impl(boost::beast::http::verb, View, View, int, Error&) override {}
  void on_response_impl(int code, View reason, int version, Error& error) override;
  void on_field_impl(boost::beast::http::field name, View text, View value, Error& error) override;
  void on_header_impl(Error& error) override;
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
  std::size_t on_body_impl(View body, Error& error) override;
  void on_chunk_header_impl(std::uint64_t, View, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, Error& error) override;
  void on_finish_impl(Error&) override {}

  std::array<char, kRetryAfterMax> retry_after_;
  std::uint8_t retry_after_size_ = 0;
  int code_ = 0;
  bool retry_after_seen_ = false;
  bool old_version_ = false;
  bool head_done_ = false;
  bool ambiguous_ = false;
  unsigned fields_ = 0;
  std::size_t body_bytes_ = 0;
};

// Thread: one owner.  Bounds: see the head of this file.
class ResponseReader {
 public:
  static constexpr std::size_t kBufferBytes = kResponseHeadMax;
  static constexpr int kStatusMin = 100;
  static constexpr int kStatusMax = 599;

  ResponseReader();

  // Forgets the last answer. Pre: nothing of it is left over.
  void reset();
  // Where the next bytes go; never empty while the delivery wants to read.
  [[nodiscard]] char* space() noexcept { return buffer_.get() + used_; }
  [[nodiscard]] std::size_t space_bytes() const noexcept { return kBufferBytes - used_; }
  // Tells `delivery` what these bytes mean; returns what it wants next.
  [[nodiscard]] Delivery::Action received(std::size_t bytes, Delivery& delivery, WallTime now);
  // The peer closed in order: the end of a body that has no length, else a broken answer.
  [[nodiscard]] Delivery::Action ended(Delivery& delivery);
  // The connection broke: Reset only if nothing of an answer has come, so that a kept connection
  // is replaced only then.
  [[nodiscard]] Delivery::Action broken(Delivery& delivery) const;

 private:
  [[nodiscard]] Delivery::Action parse(Delivery& delivery, WallTime now);
  [[nodiscard]] Delivery::Action on_head(Delivery& delivery, WallTime now);
  void compact();

  std::unique_ptr<char[]> buffer_;
  std::size_t start_ = 0;  // parsed up to here
  std::size_t used_ = 0;
  std::optional<ResponseParser> head_;
  std::size_t head_bytes_ = 0;  // of heads, interim ones included, that left the buffer
  bool touched_ = false;        // at least one byte of an answer has come
};

}  // namespace eventrelay::relay
