#include "relay/http/response.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <cstring>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace http = boost::beast::http;
using Action = Delivery::Action;

namespace {
// Beast up to 1.81 expects at least a whole last chunk once it has seen its first bytes, and so
// much always follows (github.com/boostorg/beast, fixed in version 354).
constexpr std::size_t kLastChunkMin = 5;
}  // namespace

ResponseParser::ResponseParser() {
  header_limit(ResponseReader::kBufferBytes);
  body_limit(boost::none);  // the delivery counts: over it the status stands, the connection ends
  eager(true);
}

void ResponseParser::on_response_impl(int code, View, int version, Error& error) {
  constexpr int kOldVersion = 10;
  old_version_ = version == kOldVersion;
  code_ = code;
  if (code < ResponseReader::kStatusMin || code > ResponseReader::kStatusMax) {
    error = http::error::bad_status;
  }
}

void ResponseParser::on_field_impl(http::field name, View, View value, Error& error) {
  if (++fields_ > kFieldsMax) {
    error = http::error::header_limit;
    return;
  }
  if (head_done_) return;  // a trailer never changes what the head said
  if (name == http::field::retry_after) {
    // Two of them say nothing for sure.
    const bool usable = !retry_after_seen_ && value.size() <= kRetryAfterMax;
    if (usable) std::memcpy(retry_after_.data(), value.data(), value.size());
    retry_after_size_ = usable ? static_cast<std::uint8_t>(value.size()) : std::uint8_t{0};
    retry_after_seen_ = true;
  } else if (name == http::field::transfer_encoding) {
    if (old_version_ || !boost::beast::iequals(value, "chunked")) ambiguous_ = true;
  }
}

void ResponseParser::on_header_impl(Error&) {
  head_done_ = true;
}

std::size_t ResponseParser::on_body_impl(View body, Error&) {
  body_bytes_ += body.size();
  return body.size();
}

std::size_t ResponseParser::on_chunk_body_impl(std::uint64_t, View body, Error&) {
  body_bytes_ += body.size();
  return body.size();
}

ResponseReader::ResponseReader() : buffer_(new char[kBufferBytes]) {
  head_.emplace();
}

void ResponseReader::reset() {
  EVENTRELAY_ASSERT(start_ == used_);
  start_ = used_ = 0;
  head_.emplace();
  head_bytes_ = 0;
  touched_ = false;
}

Action ResponseReader::received(std::size_t bytes, Delivery& delivery, WallTime now) {
  used_ += bytes;
  EVENTRELAY_ASSERT(used_ <= kBufferBytes);
  touched_ = true;
  const Action action = parse(delivery, now);
  if (action != Action::Read) return action;
  compact();
  return used_ == kBufferBytes ? delivery.on_error(TransportError::TooLarge) : action;
}

void ResponseReader::compact() {
  if (start_ == 0) return;
  std::memmove(buffer_.get(), buffer_.get() + start_, used_ - start_);
  used_ -= start_;
  start_ = 0;
}

Action ResponseReader::parse(Delivery& delivery, WallTime now) {
  while (start_ < used_) {
    const bool in_head = !head_->is_header_done();
    if (!in_head && head_->chunked() && used_ - start_ < kLastChunkMin) return Action::Read;
    boost::beast::error_code error;
    const std::size_t taken = head_->put({buffer_.get() + start_, used_ - start_}, error);
    start_ += taken;
    if (in_head) {
      // The parser lets go of each field as it comes, so the buffer alone does not bound the head.
      head_bytes_ += taken;
      const Action action = on_head(delivery, now);
      if (action != Action::Read) return action;
      if (head_->is_header_done() && head_->code() < 200) {
        head_.emplace();
        continue;
      }
    }
    if (const std::size_t body = head_->take_body_bytes(); body > 0) {
      const Action action = delivery.on_body(body);
      if (action != Action::Read) return action;
    }
    if (head_->is_done()) return delivery.on_complete(used_ - start_);
    if (error == http::error::need_more) return Action::Read;
    if (error == http::error::header_limit) return delivery.on_error(TransportError::TooLarge);
    if (error) return delivery.on_error(TransportError::Protocol);
  }
  return Action::Read;
}

Action ResponseReader::on_head(Delivery& delivery, WallTime now) {
  if (!head_->is_header_done()) {
    const bool fits = head_bytes_ + (used_ - start_) <= kBufferBytes;
    return fits ? Action::Read : delivery.on_error(TransportError::TooLarge);
  }
  const bool keep = head_->keep_alive() && !head_->ambiguous();
  return delivery.on_head(ResponseHead{head_->code(), keep, head_->retry_after()}, now);
}

Action ResponseReader::ended(Delivery& delivery) {
  if (!head_->got_some()) return broken(delivery);
  boost::beast::error_code error;
  head_->put_eof(error);
  return error ? broken(delivery) : delivery.on_complete(0);
}

Action ResponseReader::broken(Delivery& delivery) const {
  return delivery.on_error(touched_ ? TransportError::Protocol : TransportError::Reset);
}

}  // namespace eventrelay::relay
