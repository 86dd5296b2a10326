#include "relay/log/commit_text.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

WallTime at(std::int64_t ms) {
  return WallTime{std::chrono::milliseconds{ms}};
}

TEST(CommitText, IsReadAsItWasWritten) {
  for (const char* ranges : {"", "1:2,6"}) {
    const CommitText read = decode_commit(encode(CommitText{ranges, at(1'700'000'000'123)}));
    EXPECT_EQ(read.ranges, ranges);
    EXPECT_EQ(read.begun, at(1'700'000'000'123));
    EXPECT_EQ(encode(CommitText{ranges, {}}), ranges) << "as it was before there were times";
  }
}

TEST(CommitText, SaysNothingOfTimeWhereNoneCanBeRead) {
  for (const char* text : {"", "1:2,6", "1:2,6@", "1:2,6@x", "1:2,6@-5", "1:2,6@7 ", "@", "@1x"}) {
    EXPECT_FALSE(decode_commit(text).begun) << text;
  }
  EXPECT_EQ(decode_commit("1:2,6@x").ranges, "1:2,6");
}

// The longest of both fit what a broker takes.
TEST(CommitText, FitsTheBound) {
  const CommitText longest{std::string(kCommitRangesMax, '9'), WallTime::max()};
  EXPECT_LE(encode(longest).size(), kMetadataMax);
}

}  // namespace
}  // namespace eventrelay::relay
