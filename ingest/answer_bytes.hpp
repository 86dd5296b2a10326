// Answers as bytes: prebuilt heads, written into the caller's buffer, never allocated.
//
// Why:     the path that says "no memory left" must not need memory.
// Thread:  any; the prebuilt texts are made once, before the first accept (see prepare_answers()).
// Bounds:  answer_bytes_max(events) bytes; a smaller buffer is a bug and ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ingest/answer.hpp"
#include "ingest/event_id.hpp"

namespace eventrelay::ingest {

// Enough for every error, every 200 with a reason, and a 202 with one event.
inline constexpr std::size_t kAnswerBytesMax = 512;
inline constexpr std::size_t kReplyMax = 2048;  // body of a handshake

// Enough for a 202 with that many events.
[[nodiscard]] constexpr std::size_t answer_bytes_max(std::size_t events) noexcept {
  return kAnswerBytesMax + events * 40;
}

// Builds every prebuilt text; called by the first render otherwise.
void prepare_answers();

// What an error answer says beside its row.
struct ErrorAnswer {
  std::uint64_t request_id = 0;
  After after = After::Keep;  // Close wins over a row that would keep the connection
  std::string_view allow;     // 405 only: the methods of the resource
};

// As it stands in the answer: 16 hexadecimal digits.
[[nodiscard]] std::string request_id_text(std::uint64_t request_id);

// Each returns the bytes of `out` that hold the whole answer, head and body.
std::string_view render_error(IngestError error, const ErrorAnswer& answer, std::span<char> out);
// 202: `{"eventIds":["..."]}`.
std::string_view render_accepted(std::span<const EventIdText> ids, After after,
                                 std::span<char> out);
// 200: `{"eventIds":[],"reason":"..."}`; the reason is our own text, not the sender's.
std::string_view render_nothing_stored(std::string_view reason, After after, std::span<char> out);
// 200 for a handshake: text/plain that a browser must not take for anything else.
// `fields`: further header lines with their ends.
// `out` holds kAnswerBytesMax + reply.size() + fields.size() bytes.
std::string_view render_reply(std::string_view reply, std::string_view fields, After after,
                              std::span<char> out);
// `HTTP/1.1 100 Continue`.
[[nodiscard]] std::string_view continue_bytes() noexcept;

}  // namespace eventrelay::ingest
