#include "common/providers/box_v1.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace eventrelay::providers {
namespace {

// A form and what is read of it; users joined by blanks.
struct Row {
  std::string form;
  std::string users;
  std::string event{};
  std::string item_id{};
  std::string item_type{};
  std::string new_item_id{};
  std::string token{};
};

TEST(BoxV1Parser, ReadsFormsByTheTable) {
  const std::vector<Row> rows{
      {"", ""},
      {"&&", ""},
      {R"(userId=["226067247"]&event=uploaded&itemId=73&itemType=file&newItemId=)", "226067247",
       "uploaded", "73", "file"},
      {"userId=%5B%22226067247%22%5D&event=uploaded", "226067247", "uploaded"},
      {"userId=%5b%221%22%2c%222%22%5d", "1 2"},
      {R"(userId=["1", "2" ,"3"])", "1 2 3"},
      {R"(userId=["1",+"2"])", "1 2"},
      {"userId=[1,2]", "1 2"},
      {"userId=[]", ""},
      {"userId=[ ]", ""},
      {"userId=", ""},
      {"userId", ""},
      {"userId=226067247", "226067247"},
      {"userId=+226067247+", "226067247"},
      {"event=Task+assigned&itemId=1", "", "Task assigned", "1"},
      {"event=task%20assigned", "", "task assigned"},
      {"itemId=a%26b%3Dc%2B&token=s%65cret", "", "", "a&b=c+", "", "", "secret"},
      {"newItemId=5&newItemId2=6&extra=1&extra=2", "", "", "", "", "5"},
      {"itemid=1&EVENT=x&user_id=2", ""},
      {"token=a=b=c", "", "", "", "", "", "a=b=c"},
      {"&event=moved&&itemType=folder&", "", "moved", "", "folder"},
      {"=x&=y", ""},
      {"event=%00", "", std::string(1, '\0')},
  };
  BoxV1Parser parser;
  for (const Row& row : rows) {
    const auto call = parser.parse(row.form);
    ASSERT_TRUE(call) << row.form;
    std::string users;
    for (std::size_t i = 0; i < (*call)->user_count; ++i) {
      users += (users.empty() ? "" : " ") + std::string{(*call)->users[i]};
    }
    EXPECT_EQ(users, row.users) << row.form;
    EXPECT_EQ((*call)->event, row.event) << row.form;
    EXPECT_EQ((*call)->item_id, row.item_id) << row.form;
    EXPECT_EQ((*call)->item_type, row.item_type) << row.form;
    EXPECT_EQ((*call)->new_item_id, row.new_item_id) << row.form;
    EXPECT_EQ((*call)->token, row.token) << row.form;
  }
}

TEST(BoxV1Parser, RefusesWhatItCannotTakeOneWay) {
  BoxV1Parser parser;
  for (const char* form : {"event=%",
                           "event=%4",
                           "event=%zz",
                           "event=%4g",
                           "%=1",
                           "event=a&event=b",
                           "event=a&%65vent=a",
                           "itemId=1&itemId=1",
                           "token=a&token=b",
                           "userId=[1]&userId=[2]",
                           "userId=[",
                           "userId=[\"1\"",
                           "userId=\"1\"",
                           "userId=[\"1]",
                           "userId=[1\"]",
                           "userId=[1,,2]",
                           "userId=[1,]",
                           "userId=[[1]]",
                           "userId=[\"a\\u0031\"]",
                           "userId=1,2",
                           "userId=[\"\"]x",
                           "userId={\"a\":1}]"}) {
    const auto call = parser.parse(form);
    ASSERT_FALSE(call) << form;
    EXPECT_EQ(call.error(), ProviderError::MalformedRequest) << form;
  }
}

TEST(BoxV1Parser, HoldsItsBoundsAtLimit) {
  BoxV1Parser parser;
  std::string users = "1";
  for (std::size_t i = 2; i <= kUsersMax; ++i) users += "," + std::to_string(i);
  EXPECT_EQ((*parser.parse("userId=[" + users + "]"))->user_count, kUsersMax);
  EXPECT_FALSE(parser.parse("userId=[" + users + ",x]"));
  std::string many = "a=1";
  for (std::size_t i = 2; i <= kParametersMax; ++i) many += "&a=1";
  EXPECT_TRUE(parser.parse(many));
  EXPECT_FALSE(parser.parse(many + "&a=1"));
  EXPECT_TRUE(parser.parse("a=" + std::string(kParameterBytesMax - 2, 'x')));
  EXPECT_FALSE(parser.parse("a=" + std::string(kParameterBytesMax - 1, 'x')));
}

TEST(BoxV1EventTypes, FollowTheNamesOfTheGuide) {
  const std::vector<std::pair<std::string, std::string>> rows{{"uploaded", "CREATED"},
                                                              {"created", "CREATED"},
                                                              {"copied", "CREATED"},
                                                              {"deleted", "DELETED"},
                                                              {"moved", "UPDATED"},
                                                              {"locked", "UPDATED"},
                                                              {"unlocked", "UPDATED"},
                                                              {"commented", "UPDATED"},
                                                              {"Task assigned", "UPDATED"},
                                                              {"task_assigned", "UPDATED"},
                                                              {"Responded to task", "UPDATED"},
                                                              {"Collaborator added", "UPDATED"},
                                                              {"sent", "UPDATED"},
                                                              {"UPLOADED", "CREATED"},
                                                              {"downloaded", "UNKNOWN"},
                                                              {"previewed", "UNKNOWN"},
                                                              {"", "UNKNOWN"},
                                                              {std::string(25, 'x'), "UNKNOWN"}};
  for (const auto& [event, type] : rows) EXPECT_EQ(box_v1_event_type(event), type) << event;
}

std::string id(const char* form, std::int64_t ms, std::string_view source = "box") {
  BoxV1Parser parser;
  const BoxV1Id made =
      box_v1_provider_id(source, **parser.parse(form), WallTime{std::chrono::milliseconds{ms}});
  return {made.data(), made.size()};
}

TEST(BoxV1Id, IsTheSameForTheSameCallWithinABucketOfTenSeconds) {
  const char* const form = "event=moved&itemId=1&newItemId=2";
  EXPECT_EQ(id(form, 20'000), id(form, 29'999));
  EXPECT_NE(id(form, 29'999), id(form, 30'000));
  EXPECT_NE(id(form, 20'000), id("event=moved&itemId=1&newItemId=3", 20'000));
  EXPECT_NE(id(form, 20'000), id("event=copied&itemId=1&newItemId=2", 20'000));
  EXPECT_NE(id(form, 20'000), id("event=moved&itemId=2&newItemId=2", 20'000));
  EXPECT_NE(id(form, 20'000), id(form, 20'000, "other"));
  EXPECT_NE(id("event=a&itemId=1%0Aa", 0), id("event=1%0Aa&itemId=a", 0));
}

}  // namespace
}  // namespace eventrelay::providers
