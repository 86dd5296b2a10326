#include "ingest/head_parser.hpp"

#include <gtest/gtest.h>

#include <string>

namespace eventrelay::ingest {
namespace {

using Progress = HeadParser::Progress;

constexpr std::string_view kHead =
    "POST /elements/api-v2/events/box HTTP/1.1\r\n"
    "Host: relay.example\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 12\r\n"
    "BOX-DELIVERY-ID: 6f7\r\n"
    "\r\n";

TEST(HeadParser, EndsBehindTheHeadWhateverItSaysOfABody) {
  Gate gate(ChunkedBodies::Refused);
  HeadParser parser(gate);
  const std::string request = std::string(kHead) + "body of 12 b";
  const auto progress = parser.feed(request);
  ASSERT_TRUE(progress);
  EXPECT_EQ(*progress, Progress::Done);
  EXPECT_EQ(parser.size(), kHead.size());
  EXPECT_EQ(gate.head().content_length, 12U);
  EXPECT_EQ(gate.head().find("box-delivery-id"), "6f7");
}

TEST(HeadParser, EndsBehindTheHeadOfAChunkedRequest) {
  Gate gate(ChunkedBodies::Allowed);
  HeadParser parser(gate);
  const std::string head =
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  const auto progress = parser.feed(head + "5\r\nhello\r\n0\r\n\r\n");
  ASSERT_TRUE(progress);
  EXPECT_EQ(*progress, Progress::Done);
  EXPECT_EQ(parser.size(), head.size());
  EXPECT_TRUE(gate.head().chunked);
}

TEST(HeadParser, TakesAHeadInSingleBytes) {
  Gate gate(ChunkedBodies::Refused);
  HeadParser parser(gate);
  for (std::size_t n = 1; n < kHead.size(); ++n) {
    const auto progress = parser.feed(kHead.substr(0, n));
    ASSERT_TRUE(progress) << n;
    ASSERT_EQ(*progress, Progress::NeedMore) << n;
  }
  const auto progress = parser.feed(kHead);
  ASSERT_TRUE(progress);
  EXPECT_EQ(*progress, Progress::Done);
  EXPECT_EQ(gate.head().find("content-type"), "application/json");
}

TEST(HeadParser, KeepsViewsOnly) {
  Gate gate(ChunkedBodies::Refused);
  HeadParser parser(gate);
  const std::string request(kHead);
  ASSERT_TRUE(parser.feed(request));
  for (std::size_t i = 0; i < gate.head().field_count; ++i) {
    EXPECT_GE(gate.head().fields[i].name.data(), request.data());
    EXPECT_LT(gate.head().fields[i].value.data(), request.data() + request.size());
  }
}

[[nodiscard]] IngestError error_of(const std::string& request) {
  Gate gate(ChunkedBodies::Refused);
  HeadParser parser(gate);
  const auto progress = parser.feed(request);
  return progress ? IngestError::Internal : progress.error();
}

TEST(HeadParser, SaysTheGatesErrorWhereItHasOne) {
  EXPECT_EQ(error_of("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            IngestError::TransferEncoding);
  EXPECT_EQ(error_of("POST /" + std::string(5000, 'a') + " HTTP/1.1\r\n\r\n"),
            IngestError::TargetTooLong);
}

TEST(HeadParser, CallsTheRestMalformed) {
  EXPECT_EQ(error_of("POST /x HTTP/3.0\r\n\r\n"), IngestError::MalformedRequest);
  EXPECT_EQ(error_of("POST /x HTTP/1.1\r\nHost : a\r\n\r\n"), IngestError::MalformedRequest);
  EXPECT_EQ(error_of("\x16\x03\x01 tls hello\r\n\r\n"), IngestError::MalformedRequest);
  EXPECT_EQ(error_of("POST /x HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n"),
            IngestError::MalformedRequest);
}

TEST(HeadParser, LimitsTheWholeHead) {
  const std::string start = "POST /x HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(error_of(start + "A: " + std::string(kHeadBytesMax, 'x')), IngestError::HeadTooLarge);
  // Field by field, each far below the limit.
  Gate gate(ChunkedBodies::Refused);
  HeadParser parser(gate);
  std::string request = start;
  for (int i = 0; i < 63; ++i) {
    request += "X-" + std::to_string(i) + ": " + std::string(400, 'x') + "\r\n";
    const auto progress = parser.feed(request);
    if (!progress) {
      EXPECT_EQ(progress.error(), IngestError::HeadTooLarge);
      EXPECT_GT(request.size(), kHeadBytesMax);
      return;
    }
  }
  FAIL() << "a head of " << request.size() << " bytes was taken";
}

TEST(HeadParser, LimitsTheRequestLine) {
  EXPECT_EQ(error_of("POST /" + std::string(kHeadBytesMax, 'a')), IngestError::TargetTooLong);
}

}  // namespace
}  // namespace eventrelay::ingest
