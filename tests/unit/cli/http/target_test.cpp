#include <gtest/gtest.h>

#include "cli/http/http_client.hpp"

namespace eventrelay::cli {
namespace {

TEST(Target, TakesAUrlApart) {
  const Target target = parse_target("https://hooks.example.com:8443/a/b?c=d");
  EXPECT_TRUE(target.tls);
  EXPECT_EQ(target.host, "hooks.example.com");
  EXPECT_EQ(target.port, "8443");
  EXPECT_EQ(target.path, "/a/b?c=d");
}

TEST(Target, KnowsThePortsOfTheSchemesAndTheEmptyPath) {
  EXPECT_EQ(parse_target("https://a.example").port, "443");
  EXPECT_EQ(parse_target("http://a.example").port, "80");
  EXPECT_EQ(parse_target("http://a.example").path, "/");
  EXPECT_EQ(parse_target("http://[::1]:8080/x").host, "::1");
}

TEST(Target, NamesHostAndPortAsTheHostHeaderDoes) {
  EXPECT_EQ(authority_of(parse_target("http://a.example:8080/x")), "a.example:8080");
  EXPECT_EQ(authority_of(parse_target("http://a.example:80/x")), "a.example");
  EXPECT_EQ(authority_of(parse_target("https://a.example")), "a.example");
  EXPECT_EQ(authority_of(parse_target("https://a.example:80")), "a.example:80");
  EXPECT_EQ(authority_of(parse_target("http://[::1]:9465")), "[::1]:9465");
  EXPECT_EQ(authority_of(parse_target("http://[2001:db8::7]")), "[2001:db8::7]");
}

TEST(Target, IsNamedInAFailureWithAnIpv6AddressInBrackets) {
  try {
    (void)fetch(parse_target("http://[::1]:1/"), {});
    FAIL() << "nobody listens at port 1";
  } catch (const HttpFailure& failure) {
    EXPECT_EQ(std::string(failure.what()).rfind("[::1]:1: connect: ", 0), 0U) << failure.what();
  }
}

TEST(Target, RefusesAPortThatIsNone) {
  for (const char* url : {"http://h:73979/", "http://h:65536/", "http://h:0/",
                          "https://h:99999999999/", "http://h:4294967376/", "http://h:-1/",
                          "http://h:+80/", "http://h:/", "http://h:", "http://h:80a/",
                          "http://127.0.0.1:-1/", "http://[::1]:-1/", "http://u@h:80/"}) {
    EXPECT_THROW((void)parse_target(url), HttpFailure) << url;
  }
  EXPECT_EQ(parse_target("http://h:65535/").port, "65535");
}

TEST(Target, RefusesWhatIsNotHttp) {
  for (const char* url :
       {"", "a.example/x", "ftp://a.example/", "http://", "file:///etc/passwd", "http://a b/"}) {
    EXPECT_THROW((void)parse_target(url), HttpFailure) << url;
  }
}

}  // namespace
}  // namespace eventrelay::cli
