#include "ingest/answer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "ingest/answer_bytes.hpp"

namespace eventrelay::ingest {
namespace {

// An answer taken apart.
struct Parsed {
  std::string status_line;
  std::map<std::string, std::string> fields;
  std::string body;
};

Parsed parse(std::string_view text) {
  Parsed parsed;
  const std::size_t end = text.find("\r\n\r\n");
  EXPECT_NE(end, std::string_view::npos);
  parsed.body = std::string{text.substr(end + 4)};
  std::string_view head = text.substr(0, end + 2);
  bool first = true;
  while (!head.empty()) {
    const std::size_t line_end = head.find("\r\n");
    const std::string line{head.substr(0, line_end)};
    head.remove_prefix(line_end + 2);
    if (first) {
      parsed.status_line = line;
      first = false;
      continue;
    }
    const std::size_t colon = line.find(": ");
    EXPECT_NE(colon, std::string::npos) << line;
    EXPECT_TRUE(parsed.fields.emplace(line.substr(0, colon), line.substr(colon + 2)).second)
        << line;
  }
  EXPECT_EQ(parsed.fields["Content-Length"], std::to_string(parsed.body.size()));
  return parsed;
}

std::vector<IngestError> all_errors() {
  std::vector<IngestError> errors;
  for (std::size_t i = 0; i < kIngestErrors; ++i) errors.push_back(static_cast<IngestError>(i));
  return errors;
}

TEST(AnswerTable, CoversTheEnumWithTheStatusesOfTheInterface) {
  using E = IngestError;
  const std::map<E, int> statuses{
      {E::MalformedRequest, 400}, {E::MalformedJson, 400},    {E::MalformedBase64, 400},
      {E::DuplicateHeader, 400},  {E::BadTimestamp, 400},     {E::SignatureMissing, 401},
      {E::SignatureWrong, 401},   {E::SignatureTooOld, 401},  {E::SignatureTooNew, 401},
      {E::TokenWrong, 401},       {E::UnknownPath, 404},      {E::UnknownElement, 404},
      {E::UnknownInstance, 404},  {E::MethodNotAllowed, 405}, {E::HeadTimeout, 408},
      {E::BodyTimeout, 408},      {E::TransferEncoding, 411}, {E::BodyTooLarge, 413},
      {E::TargetTooLong, 414},    {E::ContentEncoding, 415},  {E::ContentType, 415},
      {E::SourceOverRate, 429},   {E::HeadTooLarge, 431},     {E::KafkaUnavailable, 503},
      {E::MemoryBudget, 503},     {E::Draining, 503},         {E::EventTooLarge, 413},
      {E::JsonTooDeep, 400},      {E::TooManyObjects, 413},   {E::BadChallenge, 400},
      {E::Internal, 500}};
  ASSERT_EQ(statuses.size(), kIngestErrors);
  for (const auto& [error, status] : statuses) {
    const AnswerRow& row = answer_row(error);
    EXPECT_EQ(row.error, error);
    EXPECT_EQ(row.status, status) << row.message;
    EXPECT_EQ(metrics::kCodeWords[static_cast<std::size_t>(row.code)], std::to_string(status));
  }
}

TEST(AnswerTable, AsksToTryAgainExactlyWhereThatHelps) {
  for (const IngestError error : all_errors()) {
    const AnswerRow& row = answer_row(error);
    EXPECT_EQ(row.retry_after, row.status == 429 || row.status == 503) << row.message;
  }
}

TEST(AnswerTable, ClosesWhatLeavesTheConnectionInDoubt) {
  using E = IngestError;
  for (const E error : {E::MalformedRequest, E::HeadTimeout, E::BodyTimeout, E::TransferEncoding,
                        E::BodyTooLarge, E::TargetTooLong, E::HeadTooLarge, E::ContentEncoding}) {
    EXPECT_EQ(answer_row(error).after, After::Close) << answer_row(error).message;
  }
}

TEST(AnswerTable, SpeaksPlainJsonText) {
  for (const IngestError error : all_errors()) {
    for (const char c : answer_row(error).message) {
      EXPECT_TRUE(c >= 0x20 && c < 0x7F && c != '"' && c != '\\');
    }
  }
}

[[nodiscard]] EventIdText id_text(std::string_view text) {
  EventIdText id{};
  EXPECT_EQ(text.copy(id.data(), id.size()), kEventIdSize);
  return id;
}

TEST(AnswerBytes, RenderEveryErrorBothWays) {
  std::array<char, kAnswerBytesMax> buffer;
  for (const IngestError error : all_errors()) {
    for (const After after : {After::Keep, After::Close}) {
      const AnswerRow& row = answer_row(error);
      const Parsed parsed = parse(render_error(
          error, {.request_id = 0x0123456789abcdefULL, .after = after, .allow = "GET, POST"},
          buffer));
      EXPECT_EQ(parsed.status_line,
                "HTTP/1.1 " + std::to_string(row.status) + ' ' + std::string{row.reason});
      EXPECT_EQ(parsed.body, "{\"message\":\"" + std::string{row.message} +
                                 "\",\"requestId\":\"0123456789abcdef\"}");
      EXPECT_EQ(parsed.fields.at("Content-Type"), "application/json");
      const bool close = after == After::Close || row.after == After::Close;
      EXPECT_EQ(parsed.fields.count("Connection"), close ? 1U : 0U);
      EXPECT_EQ(parsed.fields.count("Retry-After"), row.retry_after ? 1U : 0U);
      EXPECT_EQ(parsed.fields.count("Allow"), row.status == 405 ? 1U : 0U);
    }
  }
}

TEST(AnswerBytes, RenderAcceptedEvents) {
  std::vector<char> buffer(answer_bytes_max(256));
  std::vector<EventIdText> ids{id_text("0f5b2a7e-7b1c-8b0e-9d7a-5c1de0e0a111")};
  const Parsed one = parse(render_accepted(ids, After::Keep, buffer));
  EXPECT_EQ(one.status_line, "HTTP/1.1 202 Accepted");
  EXPECT_EQ(one.body, R"({"eventIds":["0f5b2a7e-7b1c-8b0e-9d7a-5c1de0e0a111"]})");
  EXPECT_EQ(one.fields.count("Connection"), 0U);
  EXPECT_EQ(parse(render_accepted(ids, After::Close, buffer)).fields.at("Connection"), "close");
  EXPECT_EQ(parse(render_accepted(ids, After::Close, buffer)).body, one.body);

  ids.push_back(id_text("0f5b2a7e-7b1c-8b0e-9d7a-5c1de0e0a222"));
  EXPECT_EQ(parse(render_accepted(ids, After::Keep, buffer)).body,
            R"({"eventIds":["0f5b2a7e-7b1c-8b0e-9d7a-5c1de0e0a111",)"
            R"("0f5b2a7e-7b1c-8b0e-9d7a-5c1de0e0a222"]})");
}

TEST(AnswerBytes, HoldAsManyEventsAsARequestMayMakeAtLimit) {
  std::vector<char> buffer(answer_bytes_max(256));
  const std::vector<EventIdText> ids(256, id_text("0f5b2a7e-7b1c-8b0e-9d7a-5c1de0e0a111"));
  const Parsed parsed = parse(render_accepted(ids, After::Close, buffer));
  EXPECT_EQ(parsed.body.size(), 256U * 39 + 14);
}

TEST(AnswerBytes, RenderWhatIsNotStoredAndHandshakes) {
  std::array<char, kAnswerBytesMax + kReplyMax> buffer;
  const Parsed nothing = parse(render_nothing_stored("events are disabled", After::Keep, buffer));
  EXPECT_EQ(nothing.status_line, "HTTP/1.1 200 OK");
  EXPECT_EQ(nothing.body, R"({"eventIds":[],"reason":"events are disabled"})");
  const Parsed reply = parse(render_reply("challenge <x>", "A: b\r\n", After::Close, buffer));
  EXPECT_EQ(reply.body, "challenge <x>");
  EXPECT_EQ(reply.fields.at("Content-Type"), "text/plain");
  EXPECT_EQ(reply.fields.at("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(reply.fields.at("A"), "b");
  EXPECT_EQ(reply.fields.at("Connection"), "close");
}

TEST(AnswerBytesDeathTest, EndTheProcessRatherThanWriteBeyondTheBuffer) {
  std::array<char, 16> small;
  EXPECT_DEATH(static_cast<void>(render_nothing_stored("x", After::Keep, small)), "size");
}

}  // namespace
}  // namespace eventrelay::ingest
