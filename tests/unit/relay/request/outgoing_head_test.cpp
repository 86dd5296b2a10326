#include "relay/request/outgoing_head.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace eventrelay::relay {
namespace {

constexpr WallTime kNow{std::chrono::seconds{1'700'000'000}};

CallbackUrl url_of(std::string_view host = "hooks.example.com", std::uint16_t port = 443) {
  CallbackUrl url;
  url.host = host;
  url.port = port;
  url.target = "/in?x=1";
  return url;
}

std::string event_field(std::string_view value) {
  std::string head;
  append_event_field("X", value, head);
  return head;
}

// Lines of a head: every CR and LF must be part of a CRLF that we wrote.
std::vector<std::string> lines_of(std::string_view head) {
  std::vector<std::string> lines;
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    if (end == std::string_view::npos) {
      ADD_FAILURE() << "no line end";
      break;
    }
    lines.emplace_back(head.substr(0, end));
    EXPECT_EQ(lines.back().find_first_of(std::string_view("\r\n\0", 3)), std::string::npos);
    head.remove_prefix(end + 2);
  }
  return lines;
}

TEST(OutgoingHead, HasTheFixedLinesOfItsEndpoint) {
  const OutgoingHead head(url_of(), {{"X-Team", "payments"}, {"Authorization", "Bearer a b"}});
  EXPECT_EQ(head.text(),
            "POST /in?x=1 HTTP/1.1\r\nHost: hooks.example.com\r\nUser-Agent: "
            "eventrelay/" EVENTRELAY_VERSION
            "\r\nAuthorization: Bearer a b\r\nX-Team: payments\r\n");
}

TEST(OutgoingHead, WritesThePortUnlessItIsTheSchemesOwn) {
  const auto host_of = [](const CallbackUrl& url) {
    return lines_of(OutgoingHead(url, {}).text())[1];
  };
  EXPECT_EQ(host_of(url_of("a.example", 8443)), "Host: a.example:8443");
  EXPECT_EQ(host_of(url_of("a.example", 80)), "Host: a.example:80");
  EXPECT_EQ(host_of(url_of("2606:4700::1111")), "Host: [2606:4700::1111]");
  CallbackUrl plain = url_of("a.example", 80);
  plain.tls = false;
  EXPECT_EQ(host_of(plain), "Host: a.example");
}

struct Injection {
  std::string_view name;
  std::string_view value;
};

// Names and values that must never reach a head.
constexpr Injection kInjections[] = {
    {"X", "a\r\nEvil: 1"},
    {"X", "a\nEvil: 1"},
    {"X", "a\rEvil: 1"},
    {"X", "a\r\n\r\nGET / HTTP/1.1"},
    {"X", std::string_view("a\0b", 3)},
    {"X", "\x01"},
    {"X", "a\x7F"},
    {"X", "caf\xC3\xA9"},
    {"X", "\x80"},
    {"X", " leading"},
    {"X", "trailing "},
    {"X", "\tleading"},
    {"X", ""},
    {"X", "a\x0B b"},
    {"X", "a\r\n folded"},
    {"", "v"},
    {"X Y", "v"},
    {"X:", "v"},
    {"X\r\nEvil", "v"},
    {"X\n", "v"},
    {" X", "v"},
    {"X ", "v"},
    {"X\t", "v"},
    {"(X)", "v"},
    {"X/Y", "v"},
    {"X@Y", "v"},
    {"\"X\"", "v"},
    {"X,Y", "v"},
    {"X;Y", "v"},
    {"caf\xC3\xA9", "v"},
    {std::string_view("X\0Y", 3), "v"},
    {"{X}", "v"},
    // Names that eventrelay sets itself, or that steer the connection.
    {"Host", "evil.example"},
    {"hOsT", "evil.example"},
    {"Content-Length", "0"},
    {"Transfer-Encoding", "chunked"},
    {"Connection", "close"},
    {"Keep-Alive", "timeout=1"},
    {"Upgrade", "h2c"},
    {"Expect", "100-continue"},
    {"TE", "trailers"},
    {"Trailer", "X"},
    {"Content-Type", "text/plain"},
    {"Content-Encoding", "gzip"},
    {"User-Agent", "me"},
    {"Proxy-Connection", "close"},
    {"Elements-Webhook-Id", "1"},
    {"elements-webhook-signature", "sha256=x"},
    {"Webhook-Id", "1"},
    {"webhook-signature", "v1,x"},
    {"Eventrelay-Attempt", "1"},
    {"traceparent", "00-1"},
    {"tracestate", "a=b"},
    {"ce-id", "1"},
};
static_assert(std::size(kInjections) >= 30);

TEST(OutgoingHead, RefusesEveryInjectionWhenItIsBuilt) {
  for (const Injection& row : kInjections) {
    EXPECT_TRUE(refuse_field(row.name, row.value).has_value()) << row.name << ": " << row.value;
    const std::map<std::string, std::string> headers{
        {std::string(row.name), std::string(row.value)}};
    EXPECT_THROW(OutgoingHead(url_of(), headers), std::invalid_argument) << row.name;
  }
}

TEST(OutgoingHead, RefusesFieldsOverItsBoundsAtLimit) {
  EXPECT_FALSE(refuse_field("X", std::string(kConfiguredValueMax, 'v')).has_value());
  EXPECT_TRUE(refuse_field("X", std::string(kConfiguredValueMax + 1, 'v')).has_value());
  std::map<std::string, std::string> headers;
  for (std::size_t i = 0; i < kConfiguredFieldsMax; ++i) headers["X" + std::to_string(i)] = "v";
  EXPECT_NO_THROW(OutgoingHead(url_of(), headers));
  headers["Y"] = "v";
  EXPECT_THROW(OutgoingHead(url_of(), headers), std::invalid_argument);
}

TEST(OutgoingHead, RefusesTargetsAndHostsThatBreakTheRequestLine) {
  for (const std::string_view target :
       {"", "x", "/a b", "/a\r\nX: y", "/a\x80", "/a#b", "/a\t", "http://x/", "/\x7F"}) {
    CallbackUrl url = url_of();
    url.target = target;
    EXPECT_THROW(OutgoingHead(url, {}), std::invalid_argument) << target;
  }
  for (const std::string_view host : {"", "a b", "a\r\nX: y", "a/b", "a@b", "a?b", "a#b", "a\\b"}) {
    EXPECT_THROW(OutgoingHead(url_of(host), {}), std::invalid_argument) << host;
  }
}

TEST(OutgoingHead, EncodesWhatAnEventBringsAlong) {
  EXPECT_EQ(event_field("plain-1.2_3~"), "X: plain-1.2_3~\r\n");
  EXPECT_EQ(event_field("a\r\nEvil: 1"), "X: a%0D%0AEvil:%201\r\n");
  EXPECT_EQ(event_field("100%"), "X: 100%25\r\n");
  EXPECT_EQ(event_field("\"q\""), "X: %22q%22\r\n");
  EXPECT_EQ(event_field("caf\xC3\xA9"), "X: caf%C3%A9\r\n");
  EXPECT_EQ(event_field(std::string_view("\0\x7F", 2)), "X: %00%7F\r\n");
  EXPECT_EQ(event_field(""), "");
}

TEST(OutgoingHead, CutsWhatAnEventBringsAlongAtLimit) {
  const std::size_t around = std::string_view{"X: \r\n"}.size();
  EXPECT_EQ(event_field(std::string(kEventValueMax, 'a')).size(), kEventValueMax + around);
  EXPECT_EQ(event_field(std::string(5000, 'a')).size(), kEventValueMax + around);
  // 341 whole triples fit, never a part of one.
  EXPECT_EQ(event_field(std::string(5000, '\n')).size(), 1023 + around);
}

TEST(OutgoingHead, KeepsEveryByteOfAnEventFieldOnOneLine) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string value(3, static_cast<char>(byte));
    EXPECT_EQ(lines_of(event_field(value)).size(), 1U) << byte;
  }
}

TEST(OutgoingHead, ContinuesTheTraceOfTheEvent) {
  Event event;
  event.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  event.tracestate = "vendor=1";
  std::string head;
  append_trace(event, trace_seed({1, 2, 0xABCDEF0123456789U}), head);
  EXPECT_EQ(head,
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-abcdef0123456789-01\r\n"
            "tracestate: vendor=1\r\n");
}

TEST(OutgoingHead, StartsATraceWhenTheEventHasNoValidOne) {
  for (const std::string_view bad :
       {"", "00", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\r"}) {
    Event event;
    event.traceparent = bad;
    event.tracestate = "vendor=1";
    std::string head;
    append_trace(event, {}, head);
    EXPECT_EQ(head, "traceparent: 00-00000000000000000000000000000001-0000000000000001-00\r\n")
        << bad;
  }
}

TEST(OutgoingHead, LeavesOutATracestateThatIsNotClean) {
  Event event;
  event.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  event.tracestate = "a=1\r\nEvil: 1";
  std::string head;
  append_trace(event, {}, head);
  EXPECT_EQ(lines_of(head).size(), 1U);
}

class RequestTemplateTest : public ::testing::Test {
 protected:
  RequestTemplateTest() {
    instance_.id = InstanceId{427236};
    instance_.name = "docs";
    instance_.element = "box";
    instance_.hub = "documents";
    subscription_.url = std::make_shared<const CallbackUrl>(url_of());
    subscription_.keys.emplace_back("abcd1234efgh5678");
    event_.id = "e1";
    event_.content_type = "application/json";
    event_.body = R"({"type":"webhook_event"})";
    event_.received = kNow;
  }

  Instance instance_;
  Subscription subscription_;
  Event event_;
  RequestBuffers buffers_;
};

TEST_F(RequestTemplateTest, WritesOneWholeRequest) {
  RequestTemplate compiled(instance_, subscription_);
  const Request request = compiled.compose(event_, {1, kNow, {1, 2, 3}}, buffers_);
  const std::vector<std::string> lines = lines_of(request.head);
  ASSERT_EQ(lines.size(), 9U);
  EXPECT_EQ(lines[0], "POST /in?x=1 HTTP/1.1");
  EXPECT_EQ(lines[3], "Content-Type: application/json");
  EXPECT_EQ(lines[4], "Content-Length: " + std::to_string(request.body.size()));
  EXPECT_EQ(lines[5], "Elements-Webhook-Id: e1");
  EXPECT_TRUE(lines[6].starts_with("Elements-Webhook-Signature: sha256="));
  EXPECT_TRUE(lines[7].starts_with("traceparent: 00-"));
  EXPECT_EQ(lines[8], "");
  EXPECT_EQ(request.body.raw.data(), event_.body.data()) << "the raw body was copied";
}

TEST_F(RequestTemplateTest, TellsTheAttemptFromTheSecondOn) {
  RequestTemplate compiled(instance_, subscription_);
  const std::string first(compiled.compose(event_, {1, kNow, {}}, buffers_).head);
  EXPECT_EQ(first.find("Eventrelay-Attempt"), std::string::npos);
  const std::string third(compiled.compose(event_, {3, kNow, {}}, buffers_).head);
  EXPECT_NE(third.find("\r\nEventrelay-Attempt: 3\r\n"), std::string::npos);
}

TEST_F(RequestTemplateTest, SendsTheSameBodyAndSignatureOnEveryAttempt) {
  RequestTemplate compiled(instance_, subscription_);
  const auto signature_of = [&](std::uint32_t attempt, WallTime now) {
    const std::string head(compiled.compose(event_, {attempt, now, {}}, buffers_).head);
    const std::size_t at = head.find("Elements-Webhook-Signature");
    return head.substr(at, head.find("\r\n", at) - at);
  };
  EXPECT_EQ(signature_of(1, kNow), signature_of(2, kNow + std::chrono::hours{5}));
}

TEST_F(RequestTemplateTest, StaysWholeWhateverTheEventBrings) {
  event_.id = "e\r\nX-Evil: 1";
  event_.object_id = "o\r\n\r\n";
  event_.content_type = "text/plain\r\nX-Evil: 1";
  event_.tracestate = "a\r\nX-Evil: 1";
  event_.traceparent = "00-\r\nX-Evil: 1";
  for (const Format format :
       {Format::Elements, Format::Raw, Format::CloudEvents, Format::CloudEventsBinary}) {
    DeliveryConfig delivery;
    delivery.format = format;
    subscription_.delivery = std::make_shared<const DeliveryConfig>(delivery);
    RequestTemplate compiled(instance_, subscription_);
    const Request request = compiled.compose(event_, {2, kNow, {}}, buffers_);
    for (const std::string& line : lines_of(request.head)) {
      EXPECT_FALSE(line.starts_with("X-Evil")) << line;
    }
    EXPECT_TRUE(request.head.ends_with("\r\n\r\n"));
    EXPECT_EQ(request.head.find("\r\n\r\n"), request.head.size() - 4);
  }
}

TEST_F(RequestTemplateTest, AllocatesNothingMoreOnceItsBuffersAreWarm) {
  RequestTemplate compiled(instance_, subscription_);
  (void)compiled.compose(event_, {2, kNow, {}}, buffers_);
  const char* const head = buffers_.head.data();
  const char* const body = buffers_.body.data();
  for (int i = 0; i < 100; ++i) (void)compiled.compose(event_, {2, kNow, {}}, buffers_);
  EXPECT_EQ(buffers_.head.data(), head);
  EXPECT_EQ(buffers_.body.data(), body);
}

}  // namespace
}  // namespace eventrelay::relay
