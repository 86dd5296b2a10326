#include "ingest/answer_bytes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string>

#include "common/base/assert.hpp"
#include "common/base/hex.hpp"

namespace eventrelay::ingest {

namespace {

constexpr std::string_view kCloseField = "Connection: close\r\n";
constexpr std::string_view kContentType = "Content-Type: application/json\r\n";
constexpr std::string_view kAcceptedOpen = "{\"eventIds\":[\"";
constexpr std::string_view kBetweenIds = "\",\"";
constexpr std::string_view kAcceptedClose = "\"]}";
constexpr std::string_view kNothingOpen = "{\"eventIds\":[],\"reason\":\"";
constexpr std::string_view kNothingClose = "\"}";
constexpr std::string_view kErrorEnd = "\"}";
constexpr std::size_t kRequestIdDigits = 16;

// Appends to a span that is known to be large enough. Thread: one owner.  Bounds: its span.
class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {}

  Writer& text(std::string_view text) {
    EVENTRELAY_ASSERT(text.size() <= out_.size() - used_);
    std::memcpy(out_.data() + used_, text.data(), text.size());
    used_ += text.size();
    return *this;
  }
  Writer& number(std::size_t value) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    return text({digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
  Writer& hex(std::uint64_t value) {
    std::array<char, kRequestIdDigits> digits;
    for (auto at = digits.rbegin(); at != digits.rend(); ++at, value >>= 4U) {
      *at = kHexDigits[value & 15U];
    }
    return text({digits.data(), digits.size()});
  }
  [[nodiscard]] std::string_view view() const { return {out_.data(), used_}; }

 private:
  std::span<char> out_;
  std::size_t used_ = 0;
};

// The parts of every answer that never change. Bounds: about 12 KiB.
struct Prebuilt {
  struct Error {
    std::string head;  // status line to the last field that is always there
    std::string body;  // body as far as the request id
  };
  std::array<Error, kIngestErrors> errors;
  std::string accepted_one;  // a 202 with one event, as far as the event id
};

std::string_view text_of(const EventIdText& id) noexcept {
  return {id.data(), id.size()};
}

std::string status_line(const AnswerRow& row) {
  return "HTTP/1.1 " + std::to_string(row.status) + ' ' + std::string{row.reason} + "\r\n";
}

Prebuilt build() {
  Prebuilt made;
  for (std::size_t i = 0; i < kIngestErrors; ++i) {
    const AnswerRow& row = answer_row(static_cast<IngestError>(i));
    Prebuilt::Error& error = made.errors[i];
    error.body = "{\"message\":\"" + std::string{row.message} + "\",\"requestId\":\"";
    const std::size_t size = error.body.size() + kRequestIdDigits + kErrorEnd.size();
    error.head = status_line(row);
    error.head.append(kContentType).append("Content-Length: ").append(std::to_string(size));
    error.head.append("\r\n");
    if (row.retry_after) error.head.append("Retry-After: 1\r\n");
  }
  const std::size_t size = kAcceptedOpen.size() + kEventIdSize + kAcceptedClose.size();
  made.accepted_one = "HTTP/1.1 202 Accepted\r\n";
  made.accepted_one.append(kContentType).append("Content-Length: ").append(std::to_string(size));
  made.accepted_one.append("\r\n\r\n").append(kAcceptedOpen);
  return made;
}

const Prebuilt& prebuilt() {
  static const Prebuilt made = build();
  return made;
}

}  // namespace

void prepare_answers() {
  static_cast<void>(prebuilt());
}

std::string request_id_text(std::uint64_t request_id) {
  std::array<char, kRequestIdDigits> digits;
  return std::string(Writer(digits).hex(request_id).view());
}

std::string_view render_error(IngestError error, const ErrorAnswer& answer, std::span<char> out) {
  const AnswerRow& row = answer_row(error);
  const Prebuilt::Error& parts = prebuilt().errors[static_cast<std::size_t>(error)];
  Writer writer(out);
  writer.text(parts.head);
  if (!answer.allow.empty() && row.status == 405) {
    writer.text("Allow: ").text(answer.allow).text("\r\n");
  }
  if (answer.after == After::Close || row.after == After::Close) writer.text(kCloseField);
  writer.text("\r\n").text(parts.body).hex(answer.request_id).text(kErrorEnd);
  return writer.view();
}

std::string_view render_accepted(std::span<const EventIdText> ids, After after,
                                 std::span<char> out) {
  EVENTRELAY_ASSERT(!ids.empty());
  Writer writer(out);
  if (ids.size() == 1 && after == After::Keep) {
    writer.text(prebuilt().accepted_one).text(text_of(ids.front())).text(kAcceptedClose);
    return writer.view();
  }
  const std::size_t between = kBetweenIds.size() * (ids.size() - 1);
  const std::size_t size =
      kAcceptedOpen.size() + ids.size() * kEventIdSize + between + kAcceptedClose.size();
  writer.text("HTTP/1.1 202 Accepted\r\n").text(kContentType);
  writer.text("Content-Length: ").number(size).text("\r\n");
  if (after == After::Close) writer.text(kCloseField);
  writer.text("\r\n").text(kAcceptedOpen);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i != 0) writer.text(kBetweenIds);
    writer.text(text_of(ids[i]));
  }
  writer.text(kAcceptedClose);
  return writer.view();
}

std::string_view render_nothing_stored(std::string_view reason, After after, std::span<char> out) {
  Writer writer(out);
  writer.text("HTTP/1.1 200 OK\r\n").text(kContentType).text("Content-Length: ");
  writer.number(kNothingOpen.size() + reason.size() + kNothingClose.size()).text("\r\n");
  if (after == After::Close) writer.text(kCloseField);
  writer.text("\r\n").text(kNothingOpen).text(reason).text(kNothingClose);
  return writer.view();
}

std::string_view render_reply(std::string_view reply, std::string_view fields, After after,
                              std::span<char> out) {
  EVENTRELAY_ASSERT(reply.size() <= kReplyMax);
  Writer writer(out);
  writer.text("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\n");
  writer.text("Content-Length: ").number(reply.size()).text("\r\n").text(fields);
  if (after == After::Close) writer.text(kCloseField);
  writer.text("\r\n").text(reply);
  return writer.view();
}

std::string_view continue_bytes() noexcept {
  return "HTTP/1.1 100 Continue\r\n\r\n";
}

}  // namespace eventrelay::ingest
