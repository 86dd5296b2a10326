#include "ingest/chunked.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace eventrelay::ingest {
namespace {

// What became of a coded body.
struct Decoded {
  std::string body;
  int status = 0;  // of the error; 0 = none
  bool done = false;
  std::size_t used = 0;  // coded bytes
};

// Decodes in place, handing over `step` bytes at a time.
Decoded decode(std::string coded, std::size_t step, std::size_t body_max = 1000) {
  ChunkedDecoder decoder(body_max);
  Decoded result;
  char* const out = coded.data();
  while (result.used < coded.size() && !decoder.done()) {
    const std::string_view part = std::string_view{coded}.substr(result.used, step);
    const auto used = decoder.decode(part, out + decoder.body_size());
    if (!used) {
      result.status = answer_row(used.error()).status;
      return result;
    }
    result.used += *used;
  }
  result.body = coded.substr(0, decoder.body_size());
  result.done = decoder.done();
  return result;
}

TEST(ChunkedDecoder, TakesPlainBodiesInPiecesOfAnySize) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"0\r\n\r\n", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
      {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"0000000a\r\n0123456789\r\n00000000\r\n\r\n", "0123456789"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
      {"5;name=value\r\nhello\r\n0;last\r\n\r\n", "hello"},
      {"5;\r\nhello\r\n0\r\n\r\n", "hello"},
      {"1;" + std::string(kChunkExtensionMax, 'x') + "\r\na\r\n0\r\n\r\n", "a"},
  };
  for (const auto& [coded, body] : rows) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{3}, coded.size()}) {
      const Decoded result = decode(coded, step);
      EXPECT_TRUE(result.done) << coded;
      EXPECT_EQ(result.status, 0) << coded;
      EXPECT_EQ(result.body, body) << coded << " by " << step;
      EXPECT_EQ(result.used, coded.size());
    }
  }
}

TEST(ChunkedDecoder, LeavesTheNextRequestAlone) {
  const std::string coded = "3\r\nabc\r\n0\r\n\r\n";
  const Decoded result = decode(coded + "POST /next", 100);
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.body, "abc");
  EXPECT_EQ(result.used, coded.size());
}

TEST(ChunkedDecoder, RefusesWhatIsNotPlain) {
  const std::vector<std::string> rows{
      "\r\n",
      "5\nhello\r\n0\r\n\r\n",
      "5\r\nhello\n0\r\n\r\n",
      "5\r\nhello\r\n0\n\r\n",
      "5\r\nhello\r\n0\r\n\n",
      "5\rXhello\r\n",
      "5\r\nhelloX\r\n0\r\n\r\n",
      "5\r\nhello\rX0\r\n\r\n",
      "4\r\nhello\r\n0\r\n\r\n",
      "6\r\nhello\r\n0\r\n\r\n",
      "g\r\n",
      "0x5\r\nhello\r\n",
      "-5\r\nhello\r\n",
      "+5\r\nhello\r\n",
      " 5\r\nhello\r\n",
      "5 \r\nhello\r\n",
      "5 ;a\r\nhello\r\n",
      "5\t\r\nhello\r\n",
      "5_0\r\nhello\r\n",
      "5,\r\nhello\r\n",
      "000000005\r\nhello\r\n",
      "ffffffffffffffff\r\n",
      "100000000\r\n",
      "5;a\nb\r\nhello\r\n",
      "5;a\rb\r\nhello\r\n",
      std::string("5;a\0b\r\nhello\r\n", 14),
      "5;\xC3\xA9\r\nhello\r\n",
      "1;" + std::string(kChunkExtensionMax + 1, 'x') + "\r\na\r\n",
      "0\r\nTrailer: x\r\n\r\n",
      "5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
      "5\r\nhello\r\n0\r\n \r\n\r\n",
      "5\r\nhello\r\n\r\n0\r\n\r\n",
      ";a\r\n",
  };
  for (const std::string& coded : rows) {
    for (const std::size_t step : {std::size_t{1}, coded.size()}) {
      const Decoded result = decode(coded, step);
      EXPECT_EQ(result.status, 400) << coded;
      EXPECT_FALSE(result.done);
    }
  }
}

TEST(ChunkedDecoder, WaitsForTheRest) {
  const std::string coded = "5\r\nhello\r\n0\r\n\r\n";
  for (std::size_t n = 1; n < coded.size(); ++n) {
    const Decoded result = decode(coded.substr(0, n), 4);
    EXPECT_FALSE(result.done) << n;
    EXPECT_EQ(result.status, 0) << n;
  }
}

TEST(ChunkedDecoder, HoldsTheBodyBoundAtLimit) {
  EXPECT_TRUE(decode("5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", 7, 10).done);
  EXPECT_EQ(decode("5\r\nhello\r\n6\r\nhello!\r\n0\r\n\r\n", 7, 10).status, 413);
  EXPECT_EQ(decode("b\r\n", 7, 10).status, 413) << "before a byte of it is read";
  EXPECT_EQ(decode("ffffffff\r\n", 7, 10).status, 413);
}

}  // namespace
}  // namespace eventrelay::ingest
