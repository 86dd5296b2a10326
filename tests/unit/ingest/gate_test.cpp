// Request heads that must pass, and those that two parsers could read in two ways.
#include "ingest/gate.hpp"

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

namespace eventrelay::ingest {
namespace {

using Verdict = Expected<void, IngestError>;

// Lines of a head as a lenient parser hands them over: name, colon, white space, value; a folded
// line is put together elsewhere. `keep` owns that elsewhere.
Verdict feed_line(Gate& gate, std::string_view line, std::list<std::string>& keep) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  const auto trim = [&value] {
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  };
  trim();
  if (const std::size_t fold = value.find("\r\n"); fold != std::string_view::npos) {
    std::string& joined = keep.emplace_back(64U << 10, ' ');  // far from the head
    joined.replace(32U << 10, value.size(), value);
    value = std::string_view{joined}.substr(32U << 10, fold);
  }
  return gate.field(name, value);
}

// Feeds a whole head; returns the first verdict that refuses it, or the last.
Verdict judge(Gate& gate, const std::string& head) {
  std::list<std::string> keep;
  std::string_view rest = head;
  const std::string_view line = rest.substr(0, rest.find("\r\n"));
  rest.remove_prefix(line.size() + 2);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  const std::string_view version = line.substr(last + 1);
  const unsigned number = version == "HTTP/1.1"   ? 11U
                          : version == "HTTP/1.0" ? 10U
                          : version == "HTTP/2.0" ? 20U
                          : version == "HTTP/0.9" ? 9U
                                                  : 12U;
  Verdict verdict =
      gate.begin(line.substr(0, first), line.substr(first + 1, last - first - 1), number);
  while (verdict && !rest.starts_with("\r\n")) {
    std::size_t end = rest.find("\r\n");
    while (rest[end + 2] == ' ' || rest[end + 2] == '\t') end = rest.find("\r\n", end + 2);
    verdict = feed_line(gate, rest.substr(0, end), keep);
    rest.remove_prefix(end + 2);
  }
  return verdict ? gate.finish() : verdict;
}

// One head and what becomes of it: 0 = it passes.
struct Row {
  std::string head;  // without the empty line
  int status;
};

constexpr const char* kPost = "POST /elements/api-v2/events/box HTTP/1.1\r\n";
constexpr const char* kOld = "POST /elements/api-v2/events/box HTTP/1.0\r\n";

void expect_rows(const std::vector<Row>& rows, ChunkedBodies chunked) {
  for (const Row& row : rows) {
    Gate gate(chunked);
    const Verdict verdict = judge(gate, row.head + "\r\n");
    const int status = verdict ? 0 : answer_row(verdict.error()).status;
    EXPECT_EQ(status, row.status) << row.head.substr(0, 300);
  }
}

std::string post(const std::string& lines) {
  return std::string{kPost} + "Host: a\r\n" + lines;
}

TEST(Gate, LetsOrdinaryHeadsPass) {
  expect_rows(
      {
          {post("Content-Length: 0\r\n"), 0},
          {post("content-length: 12\r\n"), 0},
          {post("CONTENT-LENGTH: 9007199254740992\r\n"), 0},
          {post("Content-Length:12\r\n"), 0},
          {post("Content-Length: \t 12 \t\r\n"), 0},
          {post("Content-Length: 0012\r\n"), 0},
          {post("Content-Type: application/json; charset=utf-8\r\n"), 0},
          {post("Content-Encoding: identity\r\n"), 0},
          {post("Content-Encoding: Identity\r\n"), 0},
          {post("Connection: close\r\n"), 0},
          {post("Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n"), 0},
          {post("Expect: 100-continue\r\n"), 0},
          {post("Expect: 100-Continue\r\n"), 0},
          {post("X-Empty:\r\n"), 0},
          {post("X_Forwarded_For: 1\r\n"), 0},
          {"POST http://a/events HTTP/1.1\r\nHost: a\r\n", 0},
          {"POST HTTPS://a:8443/events?x HTTP/1.1\r\nHost: b\r\n", 0},
          {post("X-Tab: a\tb\r\n"), 0},
          {post("X-Text: caf\xC3\xA9 \xFF\r\n"), 0},
          {post("X-!#$%&'*+.^`|~-9: token characters\r\n"), 0},
          {post("X-Twice: 1\r\nX-Twice: 2\r\n"), 0},
          {std::string{kPost} + "Host: relay.example:8443\r\n", 0},
          {std::string{kPost} + "Host: [2001:db8::1]:8080\r\n", 0},
          {std::string{kPost} + "HOST: a\r\n", 0},
          {std::string{kOld}, 0},
          {std::string{kOld} + "Host: a\r\nContent-Length: 3\r\n", 0},
          {"GET /elements/api-v2/events/box?userId=%5B%221%22%5D HTTP/1.1\r\nHost: a\r\n", 0},
          {"OPTIONS / HTTP/1.1\r\nHost: a\r\n", 0},
          {"BREW /pot HTTP/1.1\r\nHost: a\r\n", 0},
          {"GET /" + std::string(kTargetMax - 1, 'x') + " HTTP/1.1\r\nHost: a\r\n", 0},
          {"GET /a\"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n", 0},
      },
      ChunkedBodies::Refused);
}

TEST(Gate, RefusesWhatTwoParsersCouldReadDifferently) {
  expect_rows(
      {
          // Host: RFC 9112 3.2.
          {kPost, 400},
          {post("Host: a\r\n"), 400},
          {post("Host: b\r\n"), 400},
          {post("host: a\r\n"), 400},
          {std::string{kPost} + "Host:\r\n", 400},
          {std::string{kPost} + "Host: a b\r\n", 400},
          {std::string{kPost} + "Host: user@a\r\n", 400},
          {std::string{kPost} + "Host: a/b\r\n", 400},
          {std::string{kPost} + "Host: a?b\r\n", 400},
          {std::string{kPost} + "Host: a#b\r\n", 400},
          {std::string{kPost} + "Host: a\\b\r\n", 400},
          {std::string{kPost} + "Host: \"a\"\r\n", 400},
          {std::string{kPost} + "Host: a\xC3\xA9\r\n", 400},
          {std::string{kOld} + "Host: a\r\nHost: a\r\n", 400},
          // Folded lines: RFC 9112 5.2.
          {post("X-Folded: a\r\n b\r\n"), 400},
          {post("X-Folded: a\r\n\tb\r\n"), 400},
          {post("X-Folded: a\r\n \r\n"), 400},
          {post("Transfer-Encoding: chunked\r\n gzip\r\n"), 400},
          {post("Content-Length: 1\r\n 2\r\n"), 400},
          // Content-Length: digits, once.
          {post("Content-Length:\r\n"), 400},
          {post("Content-Length: +1\r\n"), 400},
          {post("Content-Length: -1\r\n"), 400},
          {post("Content-Length: 0x10\r\n"), 400},
          {post("Content-Length: 1_000\r\n"), 400},
          {post("Content-Length: 1,1\r\n"), 400},
          {post("Content-Length: 1, 1\r\n"), 400},
          {post("Content-Length: 1 1\r\n"), 400},
          {post("Content-Length: 1;a\r\n"), 400},
          {post("Content-Length: 1.0\r\n"), 400},
          {post("Content-Length: 1e1\r\n"), 400},
          {post("Content-Length: ten\r\n"), 400},
          {post("Content-Length: \xD9\xA1\r\n"), 400},
          {post("Content-Length: 9007199254740993\r\n"), 400},
          {post("Content-Length: 18446744073709551616\r\n"), 400},
          {post("Content-Length: 18446744073709551617\r\n"), 400},
          {post("Content-Length: 00000000000000001\r\n"), 400},
          {post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
          {post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
          {post("Content-Length: 5\r\ncontent-length: 5\r\n"), 400},
          // Transfer-Encoding beside a length, or in HTTP/1.0: RFC 9112 6.1.
          {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
          {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
          {post("Content-Length: 0\r\nTransfer-Encoding: gzip\r\n"), 400},
          {post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n"), 400},
          {std::string{kOld} + "Host: a\r\nTransfer-Encoding: chunked\r\n", 400},
          {std::string{kOld} + "Transfer-Encoding: gzip\r\n", 400},
          // Names and values.
          {post("Bad Name: 1\r\n"), 400},
          {post("Name : 1\r\n"), 400},
          {post("\tName: 1\r\n"), 400},
          {post(": no name\r\n"), 400},
          {post("N\xC3\xA4me: 1\r\n"), 400},
          {post("Na(me: 1\r\n"), 400},
          {post(std::string("X-Nul: a\0b\r\n", 12)), 400},
          {post("X-Lf: a\nb\r\n"), 400},
          {post("X-Cr: a\rb\r\n"), 400},
          {post("X-Bell: \x07 rings\r\n"), 400},
          {post("X-Del: 12345678\x7F\r\n"), 400},
          {post("X-Esc: 0123456789abcde\x1B[0m\r\n"), 400},
          {post("Content-Type: a/b\r\nContent-Type: a/b\r\n"), 400},
          {post("Expect: 200-ok\r\n"), 400},
          {post("Expect:\r\n"), 400},
          {post("Expect: 100-continue, 100-continue\r\n"), 400},
          {post("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 400},
          // Request lines.
          {"POST * HTTP/1.1\r\nHost: a\r\n", 400},
          {"OPTIONS * HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST http:///events HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST http://a HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST http://a?b HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST http://user@a/events HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST ftp://a/events HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST http://a/events HTTP/1.1\r\n", 400},
          {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST events HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST  HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /caf\xC3\xA9 HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /a\x01 HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /a\x7F HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /a\tb HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /a#b HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /a b HTTP/1.1\r\nHost: a\r\n", 400},
          {"PO(ST /a HTTP/1.1\r\nHost: a\r\n", 400},
          {"POST /a HTTP/2.0\r\nHost: a\r\n", 400},
          {"POST /a HTTP/0.9\r\nHost: a\r\n", 400},
          {"POST /a HTTP/1.2\r\nHost: a\r\n", 400},
      },
      ChunkedBodies::Allowed);
}

TEST(Gate, PassesOverAFieldWhoseNameHasAnUnderscore) {
  Gate gate(ChunkedBodies::Allowed);
  // What any of these would say with a '-' would be refused, or would change the request.
  const std::string head =
      post(
          "Content_Length: 5\r\ncontent_length: 6\r\nTransfer_Encoding: chunked\r\n_: x\r\n"
          "Content_Type: a/b\r\nContent_Encoding: gzip\r\nContent-Length: 7\r\n") +
      "\r\n";
  ASSERT_TRUE(judge(gate, head));
  EXPECT_EQ(gate.head().content_length, 7U);
  EXPECT_FALSE(gate.head().chunked);
  EXPECT_EQ(gate.head().field_count, 2U);
  EXPECT_EQ(gate.head().find("Content_Length").data(), nullptr);
  EXPECT_EQ(gate.head().content_type.data(), nullptr);
}

TEST(Gate, BoundsTheFieldsItPassesOver) {
  Gate gate(ChunkedBodies::Refused);
  std::string lines;
  for (std::size_t i = 0; i <= kHeadFieldsMax; ++i) lines += "a_b: 1\r\n";
  const auto verdict = judge(gate, post(lines) + "\r\n");
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error(), IngestError::HeadTooLarge);
}

TEST(Gate, TakesTheHostOfATargetInAbsoluteForm) {
  Gate gate(ChunkedBodies::Refused);
  const std::string head =
      "POST http://relay.example:8080/events/box?q=/ HTTP/1.1\r\nHost: other\r\n\r\n";
  ASSERT_TRUE(judge(gate, head));
  EXPECT_EQ(gate.head().target, "/events/box?q=/");
  EXPECT_EQ(gate.head().find("host"), "relay.example:8080");
  const std::string next = "POST /events/box HTTP/1.1\r\nHost: other\r\n\r\n";
  ASSERT_TRUE(judge(gate, next));
  EXPECT_EQ(gate.head().find("host"), "other");  // nothing of the request before is left
}

TEST(Gate, Answers411ToTransferEncodingThatIsNotTaken) {
  expect_rows({{post("Transfer-Encoding: chunked\r\n"), 411}}, ChunkedBodies::Refused);
  const std::vector<Row> rows{
      {post("Transfer-Encoding:\r\n"), 411},
      {post("Transfer-Encoding: gzip\r\n"), 411},
      {post("Transfer-Encoding: identity\r\n"), 411},
      {post("Transfer-Encoding: chunked,gzip\r\n"), 411},
      {post("Transfer-Encoding: gzip, chunked\r\n"), 411},
      {post("Transfer-Encoding: chunked, identity\r\n"), 411},
      {post("Transfer-Encoding: xchunked\r\n"), 411},
      {post("Transfer-Encoding: \"chunked\"\r\n"), 411},
      {post("Transfer-Encoding: chunked,chunked\r\n"), 411},
      {post("Transfer-Encoding: chunked;q=1\r\n"), 411},
      {post("Transfer-Encoding: chunked,\r\n"), 411},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 411},
      {post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 411},
  };
  expect_rows(rows, ChunkedBodies::Refused);
  expect_rows(rows, ChunkedBodies::Allowed);
}

TEST(Gate, TakesExactlyOneChunkedWhereAllowed) {
  Gate gate(ChunkedBodies::Allowed);
  EXPECT_TRUE(judge(gate, post("Transfer-Encoding: Chunked\r\n\r\n")));
  EXPECT_TRUE(gate.head().chunked);
  EXPECT_TRUE(judge(gate, post("Content-Length: 1\r\n\r\n")));
  EXPECT_FALSE(gate.head().chunked) << "nothing is left of the request before";
}

TEST(Gate, RefusesContentCodings) {
  expect_rows({{post("Content-Encoding: gzip\r\n"), 415},
               {post("Content-Encoding: identity, gzip\r\n"), 415},
               {post("Content-Encoding:\r\n"), 415},
               {post("Content-Encoding: br\r\n"), 415}},
              ChunkedBodies::Refused);
}

TEST(Gate, RefusesTargetsOverTheirLengthAtLimit) {
  expect_rows({{"GET /" + std::string(kTargetMax, 'x') + " HTTP/1.1\r\nHost: a\r\n", 414},
               {"GET " + std::string(kTargetMax + 1, '#') + " HTTP/1.1\r\nHost: a\r\n", 414}},
              ChunkedBodies::Refused);
}

TEST(Gate, CountsFieldsAtLimit) {
  std::string lines;
  for (std::size_t i = 1; i < kHeadFieldsMax; ++i) lines += "X: 1\r\n";
  expect_rows({{post(lines), 0}, {post(lines + "X: 1\r\n"), 431}}, ChunkedBodies::Refused);
}

TEST(Gate, CountsBytesAtLimit) {
  const std::string line = "X-Long: " + std::string(kHeadBytesMax - 100, 'x') + "\r\n";
  expect_rows({{post(line), 0},
               {post(line + "X: " + std::string(100, 'y') + "\r\n"), 431},
               {post("X: " + std::string(kHeadBytesMax, 'x') + "\r\n"), 431}},
              ChunkedBodies::Refused);
}

TEST(Gate, KnowsTheBodySizeAsSoonAsItsFieldHasPassed) {
  Gate gate(ChunkedBodies::Refused);
  const std::string line = "Content-Length: 1048577";
  ASSERT_TRUE(gate.begin("POST", "/x", 11));
  ASSERT_TRUE(gate.field(std::string_view{line}.substr(0, 14), std::string_view{line}.substr(16)));
  EXPECT_EQ(gate.head().content_length, 1048577U);
}

TEST(Gate, TellsWhoKeepsTheConnection) {
  const std::vector<std::pair<std::string, bool>> rows{
      {post("\r\n"), true},
      {post("Connection: close\r\n\r\n"), false},
      {post("Connection: CLOSE\r\n\r\n"), false},
      {post("Connection: x, close\r\n\r\n"), false},
      {post("Connection: close,x\r\n\r\n"), false},
      {post("Connection: closed\r\n\r\n"), true},
      {post("Connection: keep-alive\r\n\r\n"), true},
      {post("Connection: x\r\nConnection: close\r\n\r\n"), false},
      // HTTP/1.0 is always closed: an answer without the old keep-alive field would hang it.
      {std::string{kOld} + "\r\n", false},
      {std::string{kOld} + "Connection: keep-alive\r\n\r\n", false},
  };
  for (const auto& [head, keeps] : rows) {
    Gate gate(ChunkedBodies::Refused);
    ASSERT_TRUE(judge(gate, head));
    EXPECT_EQ(gate.head().keep_alive, keeps) << head;
  }
}

TEST(Gate, HearsExpectContinueFromHttp11Alone) {
  Gate gate(ChunkedBodies::Refused);
  ASSERT_TRUE(judge(gate, post("Expect: 100-continue\r\n\r\n")));
  EXPECT_TRUE(gate.head().expect_continue);
  ASSERT_TRUE(judge(gate, std::string{kOld} + "Expect: 100-continue\r\n\r\n"));
  EXPECT_FALSE(gate.head().expect_continue);
}

TEST(IncomingHead, FindsFieldsWithoutCase) {
  IncomingHead head;
  EXPECT_TRUE(head.add("BOX-SIGNATURE-PRIMARY", "x"));
  EXPECT_TRUE(head.add("Empty", ""));
  EXPECT_TRUE(head.add("empty", "y"));
  EXPECT_EQ(head.find("box-signature-primary"), "x");
  EXPECT_NE(head.find("EMPTY").data(), nullptr);
  EXPECT_EQ(head.find("absent").data(), nullptr);
  EXPECT_EQ(head.count("empty"), 2U);
  EXPECT_EQ(head.count("absent"), 0U);
}

TEST(IncomingHead, HoldsFieldsAtLimit) {
  IncomingHead head;
  for (std::size_t i = 0; i < kHeadFieldsMax; ++i) EXPECT_TRUE(head.add("a", "b"));
  EXPECT_FALSE(head.add("a", "b"));
}

}  // namespace
}  // namespace eventrelay::ingest
