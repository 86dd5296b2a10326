#include "bench/load/requests.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <set>

#include "cli/webhook/signing.hpp"

namespace eventrelay::bench {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'600'000'000)};

RequestOptions options(std::size_t count) {
  RequestOptions options;
  options.paths = {"/a", "/b"};
  options.key = "SamplePrimaryKey";
  options.count = count;
  options.now = kNow;
  return options;
}

std::string_view body_of(std::string_view request) {
  return request.substr(request.find("\r\n\r\n") + 4);
}

cli::Signed as_received(std::string_view request) {
  cli::Signed message;
  const std::string_view head = request.substr(0, request.find("\r\n\r\n"));
  std::size_t at = head.find("\r\n");
  while (at != std::string_view::npos) {
    const std::size_t end = std::min(head.find("\r\n", at + 2), head.size());
    const std::string_view line = head.substr(at + 2, end - at - 2);
    const std::size_t colon = line.find(": ");
    message.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    at = end == head.size() ? std::string_view::npos : end;
  }
  message.body = std::string(body_of(request));
  return message;
}

TEST(Requests, AreGenuineBoxEventsToOurOwnVerifier) {
  const Requests requests(options(3));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(cli::judge(cli::scheme_named("box-v2"), cli::keys_from({"SamplePrimaryKey"}),
                         as_received(requests.at(i)), kNow),
              "");
  }
}

TEST(Requests, HaveBodiesOfTheSizeAskedForThatAreReadAsAnyOther) {
  for (const std::size_t size : {kBodySizeMin, std::size_t{16} << 10U}) {
    RequestOptions sized = options(2);
    sized.body_size = size;
    const Requests requests(sized);
    const std::string_view request = requests.at(1);
    EXPECT_EQ(body_of(request).size(), size);
    EXPECT_EQ(cli::judge(cli::scheme_named("box-v2"), cli::keys_from({"SamplePrimaryKey"}),
                         as_received(request), kNow),
              "");
    const auto body = boost::json::parse(std::string(body_of(request)));
    EXPECT_EQ(body.at("source").at("type").as_string(), "file");
  }
}

TEST(Requests, TakeThePathsInTurnAndNeverRepeatAnId) {
  const Requests requests(options(100));
  std::set<std::string> ids;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(requests.at(i).substr(0, 7), i % 2 == 0 ? "POST /a" : "POST /b");
    const auto body = boost::json::parse(std::string(body_of(requests.at(i))));
    ids.insert(std::string(body.at("id").as_string()));
  }
  EXPECT_EQ(ids.size(), 100U);
}

TEST(Requests, HaveBodiesOfTheSizeTheFiguresSpeakOf) {
  const std::string body = box_body(1, 2);
  EXPECT_GE(body.size(), 850U);
  EXPECT_LE(body.size(), 950U);
}

}  // namespace
}  // namespace eventrelay::bench
