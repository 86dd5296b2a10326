#include "ingest/routes.hpp"

#include <gtest/gtest.h>

#include <string>

namespace eventrelay::ingest {
namespace {

constexpr std::string_view kBase = "/elements/api-v2";

// What a target is expected to mean.
struct Row {
  std::string target;
  std::string element;  // empty: refused
  std::uint64_t instance = 0;
  std::string query{};
  IngestError error = IngestError::UnknownPath;
};

TEST(Routes, ReadTargetsByTheTable) {
  const std::string b = std::string{kBase};
  const auto path = IngestError::UnknownPath;
  const auto instance = IngestError::UnknownInstance;
  const std::vector<Row> rows{
      {b + "/events/box", "box"},
      {b + "/events/box?x=1&y=2", "box", 0, "x=1&y=2"},
      {b + "/events/box?", "box"},
      {b + "/events/box?a?b", "box", 0, "a?b"},
      {b + "/events/zendesk?ticket=%7B%7D", "zendesk", 0, "ticket=%7B%7D"},
      {b + "/events/slack/MjA5MzE=", "slack", 20931},
      {b + "/events/slack/MjA5MzE", "slack", 20931},
      {b + "/events/slack/MjA5MzE%3D", "slack", 20931},
      {b + "/events/slack/MjA5MzE%3d", "slack", 20931},
      {b + "/events/box/NDI3MjM2", "box", 427236},
      {b + "/events/box/NA==", "box", 4},
      {b + "/events/box/NA%3D%3D", "box", 4},
      {b + "/events/box/NA", "box", 4},
      {b + "/events/box/427236", "box", 427236},
      {b + "/events/box/427236?q", "box", 427236, "q"},
      {b + "/events/box/18446744073709551615", "box", UINT64_MAX},
      {b + "/events/box/MTg0NDY3NDQwNzM3MDk1NTE2MTU=", "box", UINT64_MAX},
      {b + "/events/my-element_2.x", "my-element_2.x"},
      {b + "/events/Box", "Box"},
      // One slash more at the end is the same URL, as some providers' forms add it.
      {b + "/events/box/", "box"},
      {b + "/events/box/?x=1", "box", 0, "x=1"},
      {b + "/events/box/?q", "box", 0, "q"},
      {b + "/events/box/1/", "box", 1},
      {b + "/events/box/427236/", "box", 427236},
      {b + "/events/box/NA==/?q", "box", 4, "q"},
      {b + "/events/slack/MjA5MzE=/?q=/", "slack", 20931, "q=/"},
      // Other paths.
      {"/", "", 0, "", path},
      {"/events/box", "", 0, "", path},
      {b, "", 0, "", path},
      {b + "/", "", 0, "", path},
      {b + "/events", "", 0, "", path},
      {b + "/events/", "", 0, "", path},
      {b + "/events//", "", 0, "", path},
      {b + "/events//1", "", 0, "", path},
      {b + "/events/box//", "", 0, "", path},
      {b + "/events/box//1", "", 0, "", path},
      {b + "/events/box/1//", "", 0, "", path},
      {b + "/events/box/1/2/", "", 0, "", path},
      {b + "/events/box/1/2", "", 0, "", path},
      {b + "/EVENTS/box", "", 0, "", path},
      {"/Elements/api-v2/events/box", "", 0, "", path},
      {"/elements/api-v2x/events/box", "", 0, "", path},
      {b + "//events/box", "", 0, "", path},
      {b + "/events/b%6Fx", "", 0, "", path},
      {b + "/events/box;v=1", "", 0, "", path},
      {b + "/events/../events/box/x/y", "", 0, "", path},
      {b + "/events/" + std::string(65, 'a'), "", 0, "", path},
      {b + "/events/box%2F1", "", 0, "", path},
      // Ids that are none.
      {b + "/events/box/0", "", 0, "", instance},
      {b + "/events/box/007", "", 0, "", instance},
      {b + "/events/box/18446744073709551616", "", 0, "", instance},
      {b + "/events/box/184467440737095516150", "", 0, "", instance},
      {b + "/events/box/12x", "", 0, "", instance},
      {b + "/events/box/-1", "", 0, "", instance},
      {b + "/events/box/abc", "", 0, "", instance},
      {b + "/events/box/MA==", "", 0, "", instance},  // 0
      {b + "/events/box/MDc=", "", 0, "", instance},  // 07
      {b + "/events/box/NA=", "", 0, "", instance},   // one pad of two
      {b + "/events/box/NA===", "", 0, "", instance},
      {b + "/events/box/NDI3MjM2=", "", 0, "", instance},  // a pad too many
      {b + "/events/box/NB==", "", 0, "", instance},       // stray bits
      {b + "/events/box/MjA5MzF", "", 0, "", instance},    // stray bits
      {b + "/events/box/=", "", 0, "", instance},
      {b + "/events/box/%3D", "", 0, "", instance},
      {b + "/events/box/M", "", 0, "", instance},
      {b + "/events/box/LTE=", "", 0, "", instance},  // -1
      {b + "/events/box/MjA5MzE%3", "", 0, "", instance},
      {b + "/events/box/MTg0NDY3NDQwNzM3MDk1NTE2MTY=", "", 0, "", instance},
      {b + "/events/box/" + std::string(40, 'M'), "", 0, "", instance},
  };
  ASSERT_GE(rows.size(), 30U);
  for (const Row& row : rows) {
    const auto parsed = parse_event_path(row.target, kBase);
    if (row.element.empty()) {
      ASSERT_FALSE(parsed) << row.target;
      EXPECT_EQ(parsed.error(), row.error) << row.target;
      continue;
    }
    ASSERT_TRUE(parsed) << row.target;
    EXPECT_EQ(parsed->element, row.element) << row.target;
    EXPECT_EQ(parsed->query, row.query) << row.target;
    EXPECT_EQ(parsed->instance.has_value(), row.instance != 0) << row.target;
    EXPECT_EQ(parsed->instance.value_or(InstanceId{}).value, row.instance) << row.target;
  }
}

TEST(Routes, LiveBelowAnyBasePath) {
  EXPECT_TRUE(parse_event_path("/events/box", ""));
  EXPECT_TRUE(parse_event_path("/hooks/events/box/7", "/hooks"));
  EXPECT_FALSE(parse_event_path("/elements/api-v2/events/box", "/hooks"));
}

TEST(Routes, SayTheSameAboutWhateverIsNotThere) {
  const AnswerRow& path = answer_row(IngestError::UnknownPath);
  for (const auto error : {IngestError::UnknownElement, IngestError::UnknownInstance}) {
    EXPECT_EQ(answer_row(error).message, path.message);
    EXPECT_EQ(answer_row(error).status, path.status);
    EXPECT_EQ(answer_row(error).after, path.after);
  }
}

TEST(NamedInstances, AreReadFromTheirHeader) {
  const auto one = parse_named_instances("427236");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->count, 1U);
  EXPECT_EQ(one->ids[0].value, 427236U);
  const auto three = parse_named_instances("1, 2 ,3");
  ASSERT_TRUE(three);
  EXPECT_EQ(three->count, 3U);
  EXPECT_EQ(three->ids[2].value, 3U);
}

TEST(NamedInstances, RefuseWhatIsNoListOfIds) {
  for (const char* value : {"", ",", "1,", ",1", "1,,2", "a", "1;2", "0", "01", "-1", "1,1",
                            "18446744073709551616", "MjA5MzE="}) {
    const auto list = parse_named_instances(value);
    ASSERT_FALSE(list) << value;
    EXPECT_EQ(list.error(), IngestError::MalformedRequest) << value;
  }
}

TEST(NamedInstances, HoldAtMost32AtLimit) {
  std::string list = "1";
  for (std::size_t i = 2; i <= kNamedInstancesMax; ++i) list += "," + std::to_string(i);
  EXPECT_TRUE(parse_named_instances(list));
  EXPECT_FALSE(parse_named_instances(list + ",99"));
}

}  // namespace
}  // namespace eventrelay::ingest
