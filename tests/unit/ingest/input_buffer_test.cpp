#include "ingest/input_buffer.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "ingest/receive.hpp"

namespace eventrelay::ingest {
namespace {

// Puts bytes into the buffer as a socket would.
void receive(InputBuffer& input, std::string_view bytes) {
  const auto room = input.free_space();
  ASSERT_LE(bytes.size(), room.size());
  std::memcpy(room.data(), bytes.data(), bytes.size());
  input.commit(bytes.size());
}

[[nodiscard]] std::string_view text(std::span<const char> bytes) {
  return {bytes.data(), bytes.size()};
}

TEST(InputBuffer, KeepsWhatFollowsARequestForTheNext) {
  Budget budget(0);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "head1body1head2");
  input.end_head(5);
  ASSERT_TRUE(input.reserve_body(5));
  EXPECT_EQ(text(input.after_head()).substr(0, 5), "body1");
  input.consume(5);
  EXPECT_EQ(input.unread(), "head2");
}

TEST(InputBuffer, GivesALargeBodyABufferOfItsOwnAndLeavesTheHeadInPlace) {
  Budget budget(100'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "headbod");
  const char* head = input.unread().data();
  input.end_head(4);
  ASSERT_TRUE(input.reserve_body(50'000));
  EXPECT_EQ(budget.used(), 50'000 + kBodyPadding);
  EXPECT_EQ(text(input.after_head()), "bod");
  EXPECT_EQ(input.unread().data(), head);
  receive(input, std::string(49'997, 'x') + "next");
  EXPECT_EQ(input.after_head().size(), 50'004U);
  input.consume(50'000);
  EXPECT_EQ(input.unread(), "next");
  EXPECT_EQ(budget.used(), 0U);
}

TEST(InputBuffer, OffersMoreRoomThanTheBodyNeeds) {
  Budget budget(100'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "head");
  input.end_head(4);
  ASSERT_TRUE(input.reserve_body(50'000));
  EXPECT_GT(input.free_space().size(), 50'000U);
}

TEST(InputBuffer, RefusesABodyBeyondTheBudget) {
  Budget budget(50'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "head");
  input.end_head(4);
  EXPECT_FALSE(input.reserve_body(50'000));
  EXPECT_EQ(budget.used(), 0U);
}

TEST(InputBuffer, MakesRoomByMovingFirstAndGrowsOnlyOnce) {
  Budget budget(100'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "ab" + std::string(kBlockBytes - 2, 'x'));
  EXPECT_TRUE(input.free_space().empty());
  input.end_head(2);
  input.consume(0);
  EXPECT_TRUE(input.make_room());
  EXPECT_EQ(input.free_space().size(), 2U);
  receive(input, "yy");
  EXPECT_TRUE(input.make_room());
  EXPECT_EQ(input.unread().size(), kBlockBytes);
  EXPECT_EQ(budget.used(), kBlockBytesMax - kBlockBytes);
  receive(input, std::string(kBlockBytesMax - kBlockBytes, 'z'));
  EXPECT_FALSE(input.make_room());
}

TEST(InputBuffer, ShrinksAfterALongHead) {
  Budget budget(100'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, std::string(kBlockBytes, 'x'));
  ASSERT_TRUE(input.make_room());
  receive(input, "tail");
  input.end_head(kBlockBytes);
  input.consume(0);
  EXPECT_EQ(input.unread(), "tail");
  EXPECT_EQ(budget.used(), 0U);
}

// Two connections of one shard; the first has received a request with a body of four bytes.
// Bounds: two blocks.
struct Neighbours {
  explicit Neighbours(std::string_view received) {
    receive(first, received);
    block = first.unread().data();
    first.end_head(4);
    first.consume(4);
  }
  Budget budget{0};
  BlockPool pool;
  InputBuffer first{budget, pool};
  InputBuffer second{budget, pool};
  const char* block = nullptr;  // of the first, before its request was consumed
};

TEST(InputBuffer, GivesItsBlockToTheNextWhenNothingIsLeft) {
  Neighbours both("headbody");
  EXPECT_TRUE(both.first.empty());
  EXPECT_EQ(both.second.free_space().data(), both.block);
  EXPECT_NE(both.first.free_space().data(), both.block);
  EXPECT_EQ(both.first.free_space().size(), kBlockBytes);
}

TEST(InputBuffer, KeepsItsBlockWhileSomethingIsLeft) {
  Neighbours both("headbodyh");
  EXPECT_NE(both.second.free_space().data(), both.block);
  EXPECT_EQ(both.first.unread(), "h");
}

TEST(InputBuffer, HasReadablePaddingBehindTheBody) {
  Budget budget(100'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "h" + std::string(kBlockBytes - 1, 'b'));
  input.end_head(1);
  ASSERT_TRUE(input.reserve_body(kBlockBytes - 1));
  const char* end = input.after_head().data() + kBlockBytes - 1;
  for (std::size_t i = 0; i < kBodyPadding; ++i) EXPECT_EQ(end[i], 0);
}

TEST(InputBuffer, KeepsADecodedBodyWhileItGrows) {
  Budget budget(1'000'000);
  BlockPool pool;
  InputBuffer input(budget, pool);
  receive(input, "head12345");
  input.end_head(4);
  ASSERT_TRUE(input.reserve_body(0));
  input.keep_after_head(3);
  EXPECT_EQ(text(input.after_head()), "123");
  ASSERT_TRUE(input.reserve_body(20'000));
  EXPECT_EQ(text(input.after_head()), "123");
  receive(input, "4567");
  input.keep_after_head(5);
  ASSERT_TRUE(input.reserve_body(40'000));
  EXPECT_EQ(text(input.after_head()), "12345");
}

}  // namespace
}  // namespace eventrelay::ingest
