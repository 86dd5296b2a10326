// The rows hold together: every scheme is there, every sample is a document of its provider.
#include "common/providers/provider.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <set>
#include <string>

namespace eventrelay::providers {
namespace {

TEST(Providers, HaveSchemesThatExistAndBelongToThem) {
  std::set<std::string_view> keys;
  for (const Provider& row : providers()) {
    EXPECT_TRUE(keys.insert(row.key).second) << row.key;
    EXPECT_EQ(find_provider(row.key), &row);
    EXPECT_FALSE(row.hub.empty()) << row.key;
    ASSERT_FALSE(row.schemes.front().empty()) << row.key;
    for (const std::string_view scheme : row.schemes) {
      if (scheme.empty()) continue;
      EXPECT_NE(find_scheme(scheme), nullptr) << scheme;
      EXPECT_EQ(provider_of_scheme(scheme), &row) << scheme;
    }
  }
  EXPECT_EQ(find_provider("box")->id, 22U);
  EXPECT_EQ(find_provider("boxx"), nullptr);
  EXPECT_EQ(provider_of_scheme(""), nullptr);
}

TEST(Providers, HaveANameAndANumberOfTheirOwn) {
  std::set<std::uint32_t> numbers;
  for (const Provider& row : providers()) {
    EXPECT_FALSE(row.name.empty()) << row.key;
    EXPECT_TRUE(row.id == 22 || row.id > 1000) << row.key;
    EXPECT_TRUE(numbers.insert(row.id).second) << row.key;
  }
}

TEST(Providers, HaveSamplesWhoseMarksAreFilled) {
  for (const Provider& row : providers()) {
    const std::string first = sample_body(row, 0xABC, 73'835'521'473U, "token");
    for (const char* mark : {"@event@", "@object@", "@token@"}) {
      EXPECT_EQ(first.find(mark), std::string::npos) << row.key;
    }
    EXPECT_NE(first, sample_body(row, 0xABD, 73'835'521'474U, "token")) << row.key;
    if (row.sample.front() != '{' && row.sample.front() != '[') continue;
    boost::json::error_code error;
    (void)boost::json::parse(first, error);
    EXPECT_FALSE(error) << row.key << ": " << first;
  }
}

TEST(Providers, AreThoseOfTheInterfaceAtLeast) {
  for (const char* key :
       {"box", "dropbox", "github", "hubspot", "meta", "microsoftgraph", "shopify", "slack",
        "stripe", "twilio", "zendesk", "standard", "svix", "elements", "cloudevents"}) {
    EXPECT_NE(find_provider(key), nullptr) << key;
  }
  for (const Scheme& scheme : schemes()) {
    EXPECT_NE(provider_of_scheme(scheme.name), nullptr) << scheme.name;
  }
}

}  // namespace
}  // namespace eventrelay::providers
