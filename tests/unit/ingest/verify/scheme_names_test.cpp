// The schemes a configuration may name are the schemes there are.
#include <gtest/gtest.h>

#include "common/config/elements.hpp"
#include "ingest/verify/scheme.hpp"

namespace eventrelay::ingest::verify {
namespace {

TEST(SchemeNames, AgreeWithWhatAConfigurationMaySay) {
  for (const Scheme& scheme : schemes()) EXPECT_TRUE(is_scheme(scheme.name)) << scheme.name;
  for (const Element& element : kElements) {
    EXPECT_NE(find_scheme(element.scheme), nullptr) << element.scheme;
  }
}

}  // namespace
}  // namespace eventrelay::ingest::verify
