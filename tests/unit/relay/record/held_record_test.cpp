// A record that waits has its own bytes: all of an event's texts, not only most of them.
#include "relay/record/held_record.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::relay {
namespace {

TEST(HeldRecord, KeepsEveryTextOfItsEvent) {
  Event event;
  std::vector<std::string> words;
  words.reserve(16);
  const auto word = [&words]() -> std::string_view {
    words.push_back("text number " + std::to_string(words.size()));
    return words.back();
  };
  event.parked.emplace();
  for_each_header_text(event, [&word](std::string_view& text) { text = word(); });
  event.body = word();
  const std::vector<std::string> before = words;

  HeldRecord record;
  record.event = event;
  record.keep_copy();
  for (std::string& gone : words) gone.assign(gone.size(), '-');
  const std::string* next = before.data();
  for_each_header_text(record.event, [&next](std::string_view& text) { EXPECT_EQ(text, *next++); });
  EXPECT_EQ(record.event.body, *next++);
  EXPECT_EQ(next, before.data() + before.size());
  EXPECT_EQ(record.event.part, before[10]);
  EXPECT_EQ(record.event.parked->dead_class, before[13]);
}

}  // namespace
}  // namespace eventrelay::relay
