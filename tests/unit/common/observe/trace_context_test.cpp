#include "common/observe/trace_context.hpp"

#include <gtest/gtest.h>

#include <string>

namespace eventrelay {
namespace {

constexpr std::string_view kGood = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, PrintsWhatItRead) {
  const auto context = parse_traceparent(kGood);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace[0], 0x4B);
  EXPECT_EQ(context->trace[15], 0x36);
  EXPECT_EQ(context->span[1], 0xF0);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(TraceparentText{*context}.view(), kGood);
}

TEST(Traceparent, KeepsOnlyTheSampledFlag) {
  const auto flags = [](std::string_view digits) {
    return std::string{kGood.substr(0, 53)}.append(digits);
  };
  for (const char* on : {"01", "03", "ff"}) {
    const auto context = parse_traceparent(flags(on));
    ASSERT_TRUE(context.has_value()) << on;
    EXPECT_EQ(TraceparentText{*context}.view().substr(53), "01");
  }
  for (const char* off : {"00", "02", "fe"}) {
    const auto context = parse_traceparent(flags(off));
    ASSERT_TRUE(context.has_value()) << off;
    EXPECT_EQ(TraceparentText{*context}.view().substr(53), "00");
  }
}

TEST(Traceparent, ReadsLaterVersionsAsFarAsItKnowsThem) {
  const std::string tail{kGood.substr(2)};
  for (const std::string& text :
       {"01" + tail, "cc" + tail, "cc" + tail + "-", "01" + tail + "-x"}) {
    const auto context = parse_traceparent(text);
    ASSERT_TRUE(context.has_value()) << text;
    EXPECT_EQ(TraceparentText{*context}.view(), kGood);
  }
  EXPECT_FALSE(parse_traceparent("01" + tail + "x").has_value());
  EXPECT_FALSE(parse_traceparent("01" + tail + ".x").has_value());
}

TEST(Traceparent, RefusesEveryMalformedForm) {
  const std::string good{kGood};
  const std::string tail = good.substr(2);
  const std::string zero_trace = "00-" + std::string(32, '0') + good.substr(35);
  const std::string zero_span = good.substr(0, 36) + std::string(16, '0') + "-01";
  for (const std::string& text :
       {std::string{}, std::string{"00"}, good.substr(0, 54), good + "-", good + "0", "ff" + tail,
        "FF" + tail, "0x" + tail, ".0" + tail, zero_trace, zero_span, " " + good,
        good.substr(0, 53) + "0g", good.substr(0, 53) + "0A"}) {
    EXPECT_FALSE(parse_traceparent(text).has_value()) << text;
  }
}

TEST(Traceparent, RefusesAWrongCharacterAtEveryPlace) {
  for (std::size_t i = 0; i < kGood.size(); ++i) {
    for (const char wrong : {'G', 'A', '_', ' ', '\0'}) {
      std::string text{kGood};
      text[i] = wrong;
      EXPECT_FALSE(parse_traceparent(text).has_value()) << i << ' ' << wrong;
    }
  }
}

TEST(Trace, StartsWithTheGivenIdsAndUnsampled) {
  TraceSeed seed;
  seed.trace.fill(0xAB);
  seed.span.fill(0xCD);
  EXPECT_EQ(TraceparentText{start_trace(seed)}.view(),
            "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-00");
}

TEST(Trace, NeverPrintsAnIdOfZeros) {
  const TraceparentText text{start_trace(TraceSeed{})};
  EXPECT_TRUE(parse_traceparent(text.view()).has_value()) << text.view();
  const TraceparentText child{child_of(*parse_traceparent(kGood), SpanId{})};
  EXPECT_TRUE(parse_traceparent(child.view()).has_value()) << child.view();
}

TEST(Trace, ChildKeepsTraceAndDecisionWithASpanOfItsOwn) {
  SpanId span{};
  span.fill(0x11);
  const TraceContext child = child_of(*parse_traceparent(kGood), span);
  EXPECT_EQ(TraceparentText{child}.view(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01");
}

TEST(Tracestate, AcceptsListsOfMembers) {
  for (const char* text :
       {"a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1 , b=2", "a=1,,b=2", "t@v=x=y"}) {
    EXPECT_TRUE(is_tracestate(text)) << text;
  }
}

TEST(Tracestate, RefusesWhatIsNoList) {
  for (const char* text : {"", " ", ",", "a", "=1", "a=", "a=1,b", "a=\n1", "a=\xC3\xA9"}) {
    EXPECT_FALSE(is_tracestate(text)) << text;
  }
}

TEST(Tracestate, HoldsItsBoundsAtLimit) {
  const std::string at_limit = "k=" + std::string(510, 'v');
  EXPECT_TRUE(is_tracestate(at_limit));
  EXPECT_FALSE(is_tracestate(at_limit + "v"));
  std::string members = "a=1";
  for (int i = 1; i < 32; ++i) members += ",a=1";
  EXPECT_TRUE(is_tracestate(members));
  EXPECT_FALSE(is_tracestate(members + ",a=1"));
}

}  // namespace
}  // namespace eventrelay
