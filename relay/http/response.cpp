#include "relay/http/response.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

using Action = Delivery::Action;

namespace {

constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::size_t kLengthDigits = 18;  // fits 64 bits
constexpr std::size_t kChunkDigits = 15;

bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// A character of a token, RFC 9110 5.6.2.
bool is_token(char c) noexcept {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || is_digit(c) || others.find(c) != std::string_view::npos;
}

bool is_control(char c) noexcept {
  const auto value = static_cast<unsigned char>(c);
  return (value < 0x20 && c != '\t') || value == 0x7f;
}

// `lower` is in lower case.
bool same(std::string_view text, std::string_view lower) noexcept {
  const auto lowered = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(),
                                                   [&](char a, char b) { return lowered(a) == b; });
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

bool has_no_body(int status) noexcept {
  return status == 204 || status == 304;
}

}  // namespace

// --- fields -------------------------------------------------------------------------------------

void ResponseFields::take(std::string_view line) noexcept {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  // A name with blanks and a folded line come here too.
  if (colon == std::string_view::npos || name.empty() ||
      !std::all_of(name.begin(), name.end(), is_token)) {
    return spoil();
  }
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (std::any_of(value.begin(), value.end(), is_control)) return spoil();
  if (same(name, "content-length")) return take_length(value);
  if (same(name, "transfer-encoding")) return take_coding(value);
  if (same(name, "connection")) return take_connection(value);
  if (same(name, "retry-after")) return take_retry_after(value);
}

void ResponseFields::take_length(std::string_view value) noexcept {
  std::uint64_t length = 0;
  if (value.empty() || value.size() > kLengthDigits ||
      !std::all_of(value.begin(), value.end(), is_digit)) {
    return spoil();
  }
  std::from_chars(value.data(), value.data() + value.size(), length);
  if (length_.value_or(length) != length) return spoil();
  length_ = length;
}

void ResponseFields::take_coding(std::string_view value) noexcept {
  chunked_ = !coded_ && same(value, "chunked");
  coded_ = true;
  if (!chunked_) spoil();
}

void ResponseFields::take_connection(std::string_view value) noexcept {
  for (;;) {
    const std::size_t comma = value.find(',');
    const std::string_view option = trimmed(value.substr(0, comma));
    if (same(option, "close")) close_ = true;
    if (same(option, "keep-alive")) keep_ = true;
    if (comma == std::string_view::npos) return;
    value.remove_prefix(comma + 1);
  }
}

void ResponseFields::take_retry_after(std::string_view value) noexcept {
  // Two of them say nothing for sure.
  const bool usable = !retry_after_seen_ && value.size() <= kRetryAfterMax;
  if (usable) std::memcpy(retry_after_.data(), value.data(), value.size());
  retry_after_size_ = usable ? static_cast<std::uint8_t>(value.size()) : std::uint8_t{0};
  retry_after_seen_ = true;
}

bool ResponseFields::spoiled() const noexcept {
  return spoiled_ || (coded_ && length_.has_value());
}

bool ResponseFields::keep_alive(int minor) const noexcept {
  if (spoiled() || close_) return false;
  return minor > 0 || keep_;
}

// --- reader -------------------------------------------------------------------------------------

ResponseReader::ResponseReader() : buffer_(new char[kBufferBytes]) {}

void ResponseReader::reset() {
  EVENTRELAY_ASSERT(start_ == used_);
  start_ = scanned_ = used_ = 0;
  at_ = At::StatusLine;
  head_bytes_ = 0;
  cut_line_ = touched_ = false;
  fields_ = ResponseFields{};
}

Action ResponseReader::received(std::size_t bytes, Delivery& delivery, WallTime now) {
  used_ += bytes;
  EVENTRELAY_ASSERT(used_ <= kBufferBytes);
  touched_ = true;
  const Action action = parse(delivery, now);
  if (action != Action::Read) return action;
  compact();
  return used_ == kBufferBytes ? on_full(delivery) : action;
}

void ResponseReader::compact() {
  if (start_ == 0) return;
  std::memmove(buffer_.get(), buffer_.get() + start_, used_ - start_);
  used_ -= start_;
  scanned_ -= start_;
  start_ = 0;
}

// A line does not fit. Of a field it is passed over; a field of that size is none that matters.
Action ResponseReader::on_full(Delivery& delivery) {
  if (at_ != At::Fields && at_ != At::Trailer) {
    return delivery.on_error(TransportError::TooLarge);
  }
  head_bytes_ += used_;
  start_ = scanned_ = used_ = 0;
  cut_line_ = true;
  if (at_ == At::Fields) fields_.spoil();
  if (head_bytes_ > kResponseHeadMax) return delivery.on_error(TransportError::TooLarge);
  return Action::Read;
}

Action ResponseReader::parse(Delivery& delivery, WallTime now) {
  Action action = Action::Read;
  while (start_ < used_ && action == Action::Read) {
    if (in_body_bytes()) {
      action = on_bytes(delivery);
      continue;
    }
    const auto line = take_line();
    if (!line) return is_no_answer() ? delivery.on_error(TransportError::Protocol) : Action::Read;
    action = on_line(*line, delivery, now);
  }
  return action;
}

bool ResponseReader::in_body_bytes() const noexcept {
  return at_ == At::Length || at_ == At::UntilClose || at_ == At::ChunkData;
}

Action ResponseReader::on_bytes(Delivery& delivery) {
  std::size_t bytes = used_ - start_;
  if (at_ != At::UntilClose) {
    bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, remaining_));
    remaining_ -= bytes;
  }
  start_ += bytes;
  scanned_ = start_;
  const Action action = delivery.on_body(bytes);
  if (action != Action::Read || at_ == At::UntilClose || remaining_ > 0) return action;
  if (at_ == At::Length) return delivery.on_complete(used_ - start_);
  at_ = At::ChunkEnd;
  return action;
}

std::optional<std::string_view> ResponseReader::take_line() {
  const char* const begin = buffer_.get() + start_;
  const auto* const end =
      static_cast<const char*>(std::memchr(buffer_.get() + scanned_, '\n', used_ - scanned_));
  if (end == nullptr) {
    scanned_ = used_;
    return std::nullopt;
  }
  std::string_view line(begin, static_cast<std::size_t>(end - begin));
  start_ += line.size() + 1;
  scanned_ = start_;
  bare_line_end_ = !line.ends_with('\r');
  if (!bare_line_end_) line.remove_suffix(1);
  return line;
}

bool ResponseReader::is_no_answer() const noexcept {
  if (at_ != At::StatusLine) return false;
  const std::string_view begun(buffer_.get() + start_, used_ - start_);
  return !kVersion.starts_with(begun.substr(0, kVersion.size())) && begun != "\r";
}

Action ResponseReader::on_line(std::string_view line, Delivery& delivery, WallTime now) {
  if (at_ == At::ChunkSize) return on_chunk_size(line, delivery);
  if (at_ == At::ChunkEnd) {
    if (!line.empty() || bare_line_end_) return delivery.on_error(TransportError::Protocol);
    at_ = At::ChunkSize;
    return Action::Read;
  }
  head_bytes_ += line.size() + 2;
  if (at_ == At::StatusLine) {
    const Action action = on_status_line(line, delivery);
    if (action != Action::Read) return action;
  } else if (std::exchange(cut_line_, false)) {
    // The end of a line that did not fit.
  } else if (line.empty()) {
    return at_ == At::Fields ? on_head_end(delivery, now) : delivery.on_complete(used_ - start_);
  } else if (at_ == At::Fields) {
    fields_.take(line);
  }
  // A trailer never changes what the head said.
  if (bare_line_end_) fields_.spoil();
  if (head_bytes_ > kResponseHeadMax) return delivery.on_error(TransportError::TooLarge);
  return Action::Read;
}

// HTTP/1.1 200 OK, where the reason and the blank before it may be missing.
Action ResponseReader::on_status_line(std::string_view line, Delivery& delivery) {
  if (line.empty()) {  // left over from an answer before, as some servers do
    fields_.spoil();
    return Action::Read;
  }
  const auto broken = [&delivery] { return delivery.on_error(TransportError::Protocol); };
  if (!line.starts_with(kVersion)) return broken();
  line.remove_prefix(kVersion.size());
  if (line.empty() || !is_digit(line.front())) return broken();
  minor_ = line.front() - '0';
  line.remove_prefix(1);
  if (line.empty() || !is_blank(line.front())) return broken();
  line = trimmed(line);
  const std::string_view code = line.substr(0, 3);
  if (code.size() < 3 || !std::all_of(code.begin(), code.end(), is_digit)) return broken();
  if (line.size() > 3 && !is_blank(line[3])) return broken();
  std::from_chars(code.data(), code.data() + code.size(), status_);
  at_ = At::Fields;
  return delivery.on_status(status_);
}

Action ResponseReader::on_head_end(Delivery& delivery, WallTime now) {
  if (bare_line_end_) fields_.spoil();
  if (status_ < 200) {  // interim: the answer is still to come
    const bool spoiled = fields_.spoiled();
    fields_ = ResponseFields{};
    if (spoiled) fields_.spoil();
    at_ = At::StatusLine;
    return delivery.on_head(ResponseHead{status_, false, {}}, now);
  }
  const bool ends = has_no_body(status_) || fields_.chunked() || fields_.length().has_value();
  if (fields_.chunked() && minor_ == 0) fields_.spoil();
  const bool keep = ends && fields_.keep_alive(minor_);
  const Action action = delivery.on_head(ResponseHead{status_, keep, fields_.retry_after()}, now);
  if (action != Action::Read) return action;
  // Where the body ends can not be known: the status stands and the connection goes.
  if (fields_.spoiled()) return delivery.on_error(TransportError::Protocol);
  if (has_no_body(status_)) return delivery.on_complete(used_ - start_);
  remaining_ = fields_.length().value_or(0);
  at_ = fields_.chunked() ? At::ChunkSize : ends ? At::Length : At::UntilClose;
  if (at_ == At::Length && remaining_ == 0) return delivery.on_complete(used_ - start_);
  return Action::Read;
}

Action ResponseReader::on_chunk_size(std::string_view line, Delivery& delivery) {
  const auto* const end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data(), end, remaining_, 16);
  const auto digits = static_cast<std::size_t>(rest - line.data());
  const bool whole = rest == end || *rest == ';' || is_blank(*rest);
  if (error != std::errc{} || digits > kChunkDigits || !whole || bare_line_end_) {
    return delivery.on_error(TransportError::Protocol);
  }
  at_ = remaining_ == 0 ? At::Trailer : At::ChunkData;
  return delivery.on_body(line.size() - digits);  // an extension is read and dropped like a body
}

Action ResponseReader::ended(Delivery& delivery) {
  return at_ == At::UntilClose ? delivery.on_complete(0) : broken(delivery);
}

Action ResponseReader::broken(Delivery& delivery) const {
  return delivery.on_error(touched_ ? TransportError::Protocol : TransportError::Reset);
}

}  // namespace eventrelay::relay
