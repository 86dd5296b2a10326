// What the relay makes of answers: one table, each row read whole and byte by byte.
#include "relay/http/response.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

namespace eventrelay::relay {
namespace {

using metrics::Outcome;
using Action = Delivery::Action;

// Done: by status. The others: by what went wrong. More: nothing is decided yet.
enum class Verdict : std::uint8_t { Done, Broken, TooLarge, More };
enum class End : std::uint8_t { Open, Clean, Cut };
enum class After : std::uint8_t { Keep, Close };

struct Row {
  const char* name;
  std::string bytes;
  End end;
  Verdict verdict;
  int status = 0;
  After after = After::Close;
  std::string retry_after = {};
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
  return out << row.name;
}

std::string many(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

// A body of `size` in one chunk.
std::string chunk(std::size_t size) {
  char head[32];
  std::snprintf(head, sizeof head, "%zx\r\n", size);
  return head + std::string(size, 'x') + "\r\n";
}

const std::string kOk = "HTTP/1.1 200 OK\r\n";
const std::string kEmpty = "Content-Length: 0\r\n\r\n";
const std::string kChunked = "Transfer-Encoding: chunked\r\n\r\n";

std::vector<Row> plain_rows() {
  return {
      {"200 empty", kOk + kEmpty, End::Open, Verdict::Done, 200, After::Keep},
      {"200 with body", kOk + "Content-Length: 5\r\n\r\nhello", End::Open, Verdict::Done, 200,
       After::Keep},
      {"201", "HTTP/1.1 201 Created\r\n" + kEmpty, End::Open, Verdict::Done, 201, After::Keep},
      {"202 lower case names", "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}", End::Open,
       Verdict::Done, 202, After::Keep},
      {"204 without length", "HTTP/1.1 204 No Content\r\n\r\n", End::Open, Verdict::Done, 204,
       After::Keep},
      {"204 with a length and no body", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
       End::Open, Verdict::Done, 204, After::Keep},
      {"204 with stray body bytes", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
       End::Open, Verdict::Done, 204, After::Close},
      {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", End::Open,
       Verdict::Done, 304, After::Keep},
      {"301 is an answer", "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/\r\n" + kEmpty,
       End::Open, Verdict::Done, 301, After::Keep},
      {"410", "HTTP/1.1 410 Gone\r\n" + kEmpty, End::Open, Verdict::Done, 410, After::Keep},
      {"500", "HTTP/1.1 500 Oops\r\n" + kEmpty, End::Open, Verdict::Done, 500, After::Keep},
      {"599", "HTTP/1.1 599 X\r\n" + kEmpty, End::Open, Verdict::Done, 599, After::Keep},
      {"no reason phrase", "HTTP/1.1 200 \r\n" + kEmpty, End::Open, Verdict::Done, 200,
       After::Keep},
      {"no reason phrase and no blank", "HTTP/1.1 200\r\n" + kEmpty, End::Open, Verdict::Done, 200,
       After::Keep},
      {"no reason phrase, 500", "HTTP/1.1 500\r\n" + kEmpty, End::Open, Verdict::Done, 500,
       After::Keep},
      {"two blanks before the status", "HTTP/1.1  202 Accepted\r\n" + kEmpty, End::Open,
       Verdict::Done, 202, After::Keep},
      {"reason that is not ASCII", "HTTP/1.1 200 \xc3\x96k\xff\r\n" + kEmpty, End::Open,
       Verdict::Done, 200, After::Keep},
      {"HTTP/1.2", "HTTP/1.2 200 OK\r\n" + kEmpty, End::Open, Verdict::Done, 200, After::Keep},
      {"empty line before", "\r\n" + kOk + kEmpty, End::Open, Verdict::Done, 200, After::Close},
      {"Connection: close", kOk + "Connection: close\r\n" + kEmpty, End::Open, Verdict::Done, 200,
       After::Close},
      {"Connection: Close among others", kOk + "Connection: foo, Close\r\n" + kEmpty, End::Open,
       Verdict::Done, 200, After::Close},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n" + kEmpty, End::Open, Verdict::Done, 200, After::Close},
      {"HTTP/1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + kEmpty, End::Open,
       Verdict::Done, 200, After::Keep},
      {"second answer behind the first", kOk + kEmpty + kOk + kEmpty, End::Open, Verdict::Done, 200,
       After::Close},
      {"one stray byte behind", kOk + kEmpty + "x", End::Open, Verdict::Done, 200, After::Close},
      {"read until close", kOk + "\r\nhello", End::Clean, Verdict::Done, 200, After::Close},
      {"read until close, empty", kOk + "\r\n", End::Clean, Verdict::Done, 200, After::Close},
      {"read until close, cut: the status stands", kOk + "\r\nhello", End::Cut, Verdict::Done, 200},
      {"Retry-After seconds", "HTTP/1.1 503 Busy\r\nRetry-After: 120\r\n" + kEmpty, End::Open,
       Verdict::Done, 503, After::Keep, "120"},
      {"Retry-After date",
       "HTTP/1.1 429 Slow\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n" + kEmpty, End::Open,
       Verdict::Done, 429, After::Keep, "Fri, 31 Dec 1999 23:59:59 GMT"},
      {"Retry-After twice", "HTTP/1.1 503 X\r\nRetry-After: 1\r\nRetry-After: 9\r\n" + kEmpty,
       End::Open, Verdict::Done, 503, After::Keep, ""},
      {"Retry-After endless",
       "HTTP/1.1 503 X\r\nRetry-After: " + std::string(500, '9') + "\r\n" + kEmpty, End::Open,
       Verdict::Done, 503, After::Keep, ""},
  };
}

std::vector<Row> framing_rows() {
  return {
      {"chunked", kOk + kChunked + chunk(5) + "0\r\n\r\n", End::Open, Verdict::Done, 200,
       After::Keep},
      {"chunked, Chunked", kOk + "Transfer-Encoding: Chunked\r\n\r\n" + "0\r\n\r\n", End::Open,
       Verdict::Done, 200, After::Keep},
      {"chunked with extension", kOk + kChunked + "1;a=b\r\nx\r\n0\r\n\r\n", End::Open,
       Verdict::Done, 200, After::Keep},
      {"chunked with trailer", kOk + kChunked + "0\r\nRetry-After: 7\r\n\r\n", End::Open,
       Verdict::Done, 200, After::Keep, ""},
      {"chunked, not ended", kOk + kChunked + chunk(5), End::Clean, Verdict::Done, 200},
      {"chunked, bad size", kOk + kChunked + "zz\r\nab", End::Open, Verdict::Done, 200},
      {"chunked, no line end after data", kOk + kChunked + "1\r\nxx0\r\n\r\n", End::Open,
       Verdict::Done, 200},
      {"gzip then chunked", kOk + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", End::Open,
       Verdict::Done, 200, After::Close},
      {"unknown coding until close", kOk + "Transfer-Encoding: gzip\r\n\r\nabc", End::Clean,
       Verdict::Done, 200, After::Close},
      {"unknown coding and a length", kOk + "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\na",
       End::Open, Verdict::Done, 200, After::Close},
      {"chunked and a length", kOk + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
       End::Open, Verdict::Done, 200},
      {"a length and chunked", kOk + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       End::Open, Verdict::Done, 200},
      {"HTTP/1.0 chunked", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + kChunked + "0\r\n\r\n",
       End::Open, Verdict::Done, 200, After::Close},
      {"two equal lengths", kOk + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", End::Open,
       Verdict::Done, 200, After::Keep},
      {"two lengths that differ", kOk + "Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
       End::Open, Verdict::Done, 200},
      {"negative length", kOk + "Content-Length: -1\r\n\r\n", End::Open, Verdict::Done, 200},
      {"length over 64 bits", kOk + "Content-Length: 99999999999999999999\r\n\r\n", End::Open,
       Verdict::Done, 200},
      {"body cut off", kOk + "Content-Length: 10\r\n\r\nabc", End::Clean, Verdict::Done, 200},
      {"head cut off", kOk + "Content-Le", End::Clean, Verdict::Done, 200},
      {"nothing at all", "", End::Clean, Verdict::Broken},
      {"body at the bound", kOk + "Content-Length: 65536\r\n\r\n" + std::string(65536, 'x'),
       End::Open, Verdict::Done, 200, After::Keep},
      {"body over the bound", kOk + "Content-Length: 65537\r\n\r\n" + std::string(65537, 'x'),
       End::Open, Verdict::Done, 200, After::Close},
      {"10 GB announced", kOk + "Content-Length: 10737418240\r\n\r\n" + std::string(70000, 'x'),
       End::Open, Verdict::Done, 200, After::Close},
      {"endless chunks", kOk + kChunked + many(40, chunk(4096)), End::Open, Verdict::Done, 200,
       After::Close},
      {"endless chunk extension", kOk + kChunked + "1;" + std::string(40000, 'a'), End::Open,
       Verdict::Done, 200},
      {"70 KiB trailer", kOk + kChunked + "0\r\nx: " + std::string(70000, 'a') + "\r\n\r\n",
       End::Open, Verdict::Done, 200},
      {"endless head", kOk + many(150, "a: " + std::string(500, 'b') + "\r\n"), End::Open,
       Verdict::Done, 200},
      {"17 kB of fields", kOk + many(34, "a: " + std::string(500, 'b') + "\r\n") + kEmpty,
       End::Open, Verdict::Done, 200, After::Keep},
      {"one field of 17 kB", kOk + "a: " + std::string(17000, 'b') + "\r\n" + kEmpty, End::Open,
       Verdict::Done, 200},
      {"one field without end", kOk + "a: " + std::string(90000, 'b'), End::Open, Verdict::Done,
       200},
      {"1000 fields", kOk + many(1000, "a: b\r\n") + kEmpty, End::Open, Verdict::Done, 200,
       After::Keep},
  };
}

std::vector<Row> odd_rows() {
  const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  return {
      {"100 then 200", go_on + kOk + kEmpty, End::Open, Verdict::Done, 200, After::Keep},
      {"103 with fields then 200", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + kOk + kEmpty,
       End::Open, Verdict::Done, 200, After::Keep},
      {"five interim answers", many(5, go_on) + kOk + kEmpty, End::Open, Verdict::Done, 200,
       After::Keep},
      {"six interim answers", many(6, "HTTP/1.1 102 Processing\r\n\r\n") + kOk + kEmpty, End::Open,
       Verdict::Done, 200, After::Keep},
      {"a hundred interim answers", many(100, go_on) + kOk + kEmpty, End::Open, Verdict::Done, 200,
       After::Keep},
      {"interim answers over their bound", many(3000, go_on), End::Open, Verdict::TooLarge},
      {"interim answer with a bad field", "HTTP/1.1 103\r\nx y: z\r\n\r\n" + kOk + kEmpty,
       End::Open, Verdict::Done, 200},
      {"100 and then nothing", go_on, End::Clean, Verdict::Broken},
      {"101 was never asked for", "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", End::Open,
       Verdict::Broken},
      {"Retry-After of an interim answer does not count",
       "HTTP/1.1 103 X\r\nRetry-After: 9\r\n\r\nHTTP/1.1 503 X\r\n" + kEmpty, End::Open,
       Verdict::Done, 503, After::Keep, ""},
      {"status 099", "HTTP/1.1 099 X\r\n" + kEmpty, End::Open, Verdict::Broken},
      {"status 600", "HTTP/1.1 600 X\r\n" + kEmpty, End::Open, Verdict::Broken},
      {"status 999", "HTTP/1.1 999 X\r\n" + kEmpty, End::Open, Verdict::Broken},
      {"four digits", "HTTP/1.1 2000 X\r\n" + kEmpty, End::Open, Verdict::Broken},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\n" + kEmpty, End::Open, Verdict::Broken},
      {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", End::Clean, Verdict::Broken},
      {"space before the colon", kOk + "Content-Length : 0\r\n\r\n", End::Open, Verdict::Done, 200},
      {"NUL in a value", kOk + std::string("a: b\0c\r\n", 8) + kEmpty, End::Open, Verdict::Done,
       200},
      {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", End::Open, Verdict::Done, 200},
      {"LF and CRLF", "HTTP/1.1 500 No\r\nRetry-After: 3\nContent-Length: 0\r\n\n", End::Open,
       Verdict::Done, 500},
      {"field name with blanks", kOk + "X Powered By: me\r\n" + kEmpty, End::Open, Verdict::Done,
       200},
      {"field without colon", kOk + "garbage\r\n" + kEmpty, End::Open, Verdict::Done, 200},
      {"folded field", kOk + "a: b\r\n c\r\n" + kEmpty, End::Open, Verdict::Done, 200},
      {"empty field name", kOk + ": b\r\n" + kEmpty, End::Open, Verdict::Done, 200},
      {"status line and then nothing", kOk, End::Clean, Verdict::Done, 200},
      {"status line and then broken", "HTTP/1.1 503 Busy\r\n", End::Cut, Verdict::Done, 503},
      {"status line without its end", "HTTP/1.1 200 OK", End::Clean, Verdict::Broken},
      {"status line over its bound", "HTTP/1.1 200 " + std::string(20000, 'x'), End::Open,
       Verdict::TooLarge},
      {"TLS record on a plain port", std::string("\x15\x03\x01\x00\x02\x02\x46", 7), End::Clean,
       Verdict::Broken},
  };
}

std::vector<Row> all_rows() {
  std::vector<Row> rows = plain_rows();
  for (auto& row : framing_rows()) rows.push_back(row);
  for (auto& row : odd_rows()) rows.push_back(row);
  return rows;
}

WallTime now() {
  return WallTime{std::chrono::milliseconds{1'700'000'000'000}};
}

Delivery reading() {
  Delivery delivery(Delivery::Scheme::Http, {});
  static_cast<void>(delivery.start(Delivery::Connection::None));
  static_cast<void>(delivery.on_dialed());
  static_cast<void>(delivery.on_written());
  return delivery;
}

// Feeds the reader as a socket would, at most `step` bytes at a time.
Action feed(ResponseReader& reader, Delivery& delivery, const Row& row, std::size_t step) {
  Action action = Action::Read;
  std::size_t at = 0;
  while (at < row.bytes.size() && action == Action::Read) {
    const std::size_t n = std::min({step, row.bytes.size() - at, reader.space_bytes()});
    std::memcpy(reader.space(), row.bytes.data() + at, n);
    at += n;
    action = reader.received(n, delivery, now());
  }
  if (action != Action::Read || row.end == End::Open) return action;
  return row.end == End::Clean ? reader.ended(delivery) : reader.broken(delivery);
}

Outcome expected_failure(const Row& row) {
  if (row.verdict == Verdict::TooLarge) return Outcome::TooLarge;
  return row.bytes.empty() ? Outcome::Reset : Outcome::Protocol;
}

void expect_result(const Row& row, const Delivery& delivery) {
  const Result& result = delivery.result();
  EXPECT_EQ(result.status, row.status);
  if (row.verdict != Verdict::Done) {
    EXPECT_EQ(result.outcome, expected_failure(row));
    EXPECT_FALSE(delivery.reusable());
    return;
  }
  const auto wanted = parse_retry_after(row.retry_after, now());
  EXPECT_EQ(result.retry_after, obeys_retry_after(row.status) ? wanted : std::nullopt);
}

class ResponseTable : public testing::TestWithParam<Row> {};

TEST_P(ResponseTable, IsReadAsStatedInOnePiece) {
  const Row& row = GetParam();
  ResponseReader reader;
  Delivery delivery = reading();
  ASSERT_EQ(feed(reader, delivery, row, row.bytes.size()), Action::Done);
  expect_result(row, delivery);
  EXPECT_EQ(delivery.reusable(), row.after == After::Keep);
}

TEST_P(ResponseTable, IsReadAsStatedByteByByte) {
  const Row& row = GetParam();
  ResponseReader reader;
  Delivery delivery = reading();
  ASSERT_EQ(feed(reader, delivery, row, 1), Action::Done);
  expect_result(row, delivery);
}

INSTANTIATE_TEST_SUITE_P(Rows, ResponseTable, testing::ValuesIn(all_rows()));

TEST(ResponseTable, HasAtLeastFortyRows) {
  EXPECT_GE(all_rows().size(), 40U);
}

TEST(ResponseReader, ReadsManyAnswersOnOneConnection) {
  ResponseReader reader;
  for (int i = 0; i < 1000; ++i) {
    const Row row{"", kOk + "Content-Length: 20\r\n\r\n12345678901234567890", End::Open,
                  Verdict::Done};
    Delivery delivery = reading();
    ASSERT_EQ(feed(reader, delivery, row, 7), Action::Done);
    ASSERT_TRUE(delivery.reusable());
    reader.reset();
  }
}

TEST(ResponseReader, AsksForANewConnectionOnlyIfNothingOfAnAnswerHasCome) {
  for (const bool touched : {false, true}) {
    ResponseReader reader;
    Delivery delivery(Delivery::Scheme::Http, {});
    static_cast<void>(delivery.start(Delivery::Connection::Pooled));
    static_cast<void>(delivery.on_written());
    if (touched) {
      *reader.space() = 'H';
      ASSERT_EQ(reader.received(1, delivery, now()), Action::Read);
    }
    EXPECT_EQ(reader.ended(delivery), touched ? Action::Done : Action::Dial);
  }
}

}  // namespace
}  // namespace eventrelay::relay
