// The exporter against a collector of ours: batches, tries, what is dropped, and the end in time.
#include "common/trace/tracing.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/eventually.hpp"

namespace eventrelay::trace {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* kTaken = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// Takes one request after the other and answers each with the next of its answers, the last of
// them again and again. An empty answer: the connection is closed without one. Thread: its own.
class Collector {
 public:
  explicit Collector(std::vector<std::string> answers)
      : answers_(std::move(answers)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  ~Collector() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] std::size_t count() const { return requests().size(); }

 private:
  void serve() {
    for (;;) {
      const int client = ::accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      const std::string request = read_request(client);
      std::string answer;
      {
        const std::lock_guard lock(mutex_);
        answer = answers_[std::min(requests_.size(), answers_.size() - 1)];
        requests_.push_back(request);
      }
      (void)::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(client);
    }
  }

  static std::string read_request(int client) {
    std::string all;
    char buffer[65'536];
    for (;;) {
      const std::size_t end = all.find("\r\n\r\n");
      const std::size_t at = all.find("Content-Length: ");
      if (end != std::string::npos && at != std::string::npos) {
        if (all.size() >= end + 4 + std::stoul(all.substr(at + 16))) return all;
      }
      const ssize_t got = ::recv(client, buffer, sizeof buffer, 0);
      if (got <= 0) return all;
      all.append(buffer, static_cast<std::size_t>(got));
    }
  }

  std::vector<std::string> answers_;
  int listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

ExportTempo fast() {
  ExportTempo tempo;
  tempo.interval = 20ms;
  tempo.first_wait = 5ms;
  tempo.longest_wait = 40ms;
  return tempo;
}

TraceSettings settings_for(const std::string& url, std::map<std::string, std::string> more = {}) {
  more.emplace("OTEL_EXPORTER_OTLP_ENDPOINT", url);
  return *read_trace_settings(more, "eventrelay-test");
}

Span span_named(const std::string& name) {
  Span span;
  span.context = start_trace(trace_seed({1, 2, 3}));
  span.name = name;
  return span;
}

// How many of the texts are in the body.
std::size_t times(const std::string& body, const std::string& text) {
  std::size_t found = 0;
  for (std::size_t at = body.find(text); at != std::string::npos; at = body.find(text, at + 1)) {
    ++found;
  }
  return found;
}

TEST(Tracing, SendsWhatWaitsAfterTheInterval) {
  Collector collector({kTaken});
  Tracing tracing(settings_for(collector.url(), {{"OTEL_EXPORTER_OTLP_HEADERS", "x-key=hush"}}),
                  nullptr, fast());
  tracing.add_queue().put(span_named("the one span"));
  EXPECT_TRUE(test::eventually([&] { return collector.count() == 1; }));
  const std::string request = collector.requests().front();
  EXPECT_THAT(request, HasSubstr("POST /v1/traces HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nContent-Type: application/x-protobuf\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\nx-key: hush\r\n"));
  EXPECT_THAT(request, HasSubstr("the one span"));
  EXPECT_THAT(request, HasSubstr("eventrelay-test"));
  tracing.stop(monotonic_now() + 5s);
  EXPECT_EQ(tracing.counts().ended, 1U);
  EXPECT_EQ(tracing.counts().dropped, 0U);
}

TEST(Tracing, SendsAFullBatchAtOnce) {
  Collector collector({kTaken});
  ExportTempo tempo = fast();
  tempo.interval = 1h;
  Tracing tracing(settings_for(collector.url()), nullptr, tempo);
  SpanQueue& queue = tracing.add_queue();
  for (std::size_t i = 0; i < kBatchMax; ++i) queue.put(span_named("spanned"));
  EXPECT_TRUE(test::eventually([&] { return collector.count() == 1; }));
  EXPECT_EQ(times(collector.requests().front(), "spanned"), kBatchMax);
  // What is less than a batch waits for its time, which the end is as well.
  queue.put(span_named("spanned"));
  tracing.stop(monotonic_now() + 5s);
  EXPECT_EQ(collector.count(), 2U);
  EXPECT_EQ(tracing.counts().dropped, 0U);
}

TEST(Tracing, GathersTheSpansOfAllQueues) {
  Collector collector({kTaken});
  Tracing tracing(settings_for(collector.url()), nullptr, fast());
  SpanQueue& one = tracing.add_queue();
  SpanQueue& other = tracing.add_queue();
  one.put(span_named("of one"));
  other.put(span_named("of other"));
  tracing.stop(monotonic_now() + 5s);
  std::string all;
  for (const std::string& each : collector.requests()) all += each;
  EXPECT_EQ(times(all, "of one"), 1U);
  EXPECT_EQ(times(all, "of other"), 1U);
  EXPECT_EQ(tracing.counts().ended, 2U);
}

TEST(Tracing, TriesAgainWhatMayBeTriedAgain) {
  Collector collector({"HTTP/1.1 429 Slow Down\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
                       "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n",
                       "HTTP/1.1 503 Away\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
                       "Content-Length: 0\r\n\r\n",
                       "", kTaken});
  Tracing tracing(settings_for(collector.url()), nullptr, fast());
  tracing.add_queue().put(span_named("kept"));
  EXPECT_TRUE(test::eventually([&] { return collector.count() == 5; }));
  tracing.stop(monotonic_now() + 5s);
  EXPECT_EQ(collector.count(), 5U);
  for (const std::string& each : collector.requests()) EXPECT_THAT(each, HasSubstr("kept"));
  EXPECT_EQ(tracing.counts().dropped, 0U);
}

TEST(Tracing, WaitsAsLongAsItIsAskedToWithinItsBound) {
  Collector collector(
      {"HTTP/1.1 503 Away\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", kTaken});
  ExportTempo tempo = fast();
  tempo.longest_wait = 400ms;
  Tracing tracing(settings_for(collector.url()), nullptr, tempo);
  SpanQueue& queue = tracing.add_queue();
  queue.put(span_named("kept"));
  EXPECT_TRUE(test::eventually([&] { return collector.count() == 1; }));
  const TimePoint first = monotonic_now();
  // A batch that fills up meanwhile does not cut the wait short.
  for (std::size_t i = 0; i < kBatchMax; ++i) queue.put(span_named("more"));
  EXPECT_TRUE(test::eventually([&] { return collector.count() >= 2; }));
  EXPECT_GE(monotonic_now() - first, 300ms);
  tracing.stop(monotonic_now() + 5s);
  EXPECT_EQ(tracing.counts().dropped, 0U);
}

TEST(Tracing, DropsABatchThatIsRefusedAndGoesOn) {
  for (const char* refusal :
       {"400 Bad Request", "401 No", "404 Not Found", "413 Large", "500 Bug", "301 Moved"}) {
    SCOPED_TRACE(refusal);
    Collector collector(
        {"HTTP/1.1 " + std::string(refusal) + "\r\nContent-Length: 0\r\n\r\n", kTaken});
    Tracing tracing(settings_for(collector.url()), nullptr, fast());
    SpanQueue& queue = tracing.add_queue();
    queue.put(span_named("refused"));
    EXPECT_TRUE(test::eventually([&] { return tracing.counts().dropped == 1; }));
    queue.put(span_named("taken"));
    EXPECT_TRUE(test::eventually([&] { return collector.count() == 2; }));
    tracing.stop(monotonic_now() + 5s);
    EXPECT_EQ(collector.count(), 2U);
    EXPECT_EQ(tracing.counts().dropped, 1U);
    EXPECT_EQ(tracing.counts().ended, 2U);
  }
}

TEST(Tracing, NeverSendsAgainWhatWasTakenInPart) {
  // Two spans rejected, with a reason.
  const std::string body("\x0A\x07\x08\x02\x12\x03own", 9);
  Collector collector(
      {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  Tracing tracing(settings_for(collector.url()), nullptr, fast());
  SpanQueue& queue = tracing.add_queue();
  for (int i = 0; i < 3; ++i) queue.put(span_named("part"));
  tracing.stop(monotonic_now() + 5s);
  std::size_t sent = 0;
  for (const std::string& each : collector.requests()) sent += times(each, "part");
  EXPECT_EQ(sent, 3U);
  EXPECT_GE(tracing.counts().dropped, 2U);
  EXPECT_LE(tracing.counts().dropped, 3U);  // in two requests if the interval ended between them
}

TEST(Tracing, GivesABatchUpAfterItsTries) {
  Collector collector({"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"});
  Tracing tracing(settings_for(collector.url()), nullptr, fast());
  tracing.add_queue().put(span_named("given up"));
  EXPECT_TRUE(test::eventually([&] { return tracing.counts().dropped == 1; }));
  EXPECT_EQ(collector.count(), fast().tries);
}

TEST(Tracing, ACollectorThatIsAwayCostsSpansAlone) {
  std::string url;
  {
    const Collector gone({kTaken});
    url = gone.url();
  }
  ExportTempo tempo = fast();
  tempo.first_wait = tempo.longest_wait = 1h;  // one try, and the next one never comes
  Tracing tracing(settings_for(url), nullptr, tempo);
  SpanQueue& queue = tracing.add_queue();
  const std::size_t spans = 3 * kQueueMax;
  for (std::size_t i = 0; i < spans; ++i) queue.put(span_named("lost"));
  EXPECT_EQ(tracing.counts().ended, spans);
  // At most a queue and a batch are kept.
  EXPECT_GE(tracing.counts().dropped, spans - kQueueMax - kBatchMax);
  const TimePoint begin = monotonic_now();
  tracing.stop(begin + 1s);
  EXPECT_LT(monotonic_now() - begin, 3s);
  EXPECT_EQ(tracing.counts().dropped, spans);
}

TEST(Tracing, ACollectorThatSaysNothingDoesNotHoldUpTheEnd) {
  // Accepts and never answers.
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  for (const auto before : {0ms, 100ms}) {  // the request begins with the end, or before it
    Tracing tracing(settings_for(url), nullptr, fast());
    SpanQueue& queue = tracing.add_queue();
    for (int i = 0; i < 3; ++i) queue.put(span_named("unanswered"));
    test::be_slow(before);
    const TimePoint begin = monotonic_now();
    tracing.stop(begin + 300ms);
    EXPECT_LT(monotonic_now() - begin, 2s);
    EXPECT_EQ(tracing.counts().dropped, 3U);
  }
  ::close(listener);
}

TEST(Tracing, SendsAllThatWaitsAtItsEnd) {
  Collector collector({kTaken});
  ExportTempo tempo = fast();
  tempo.interval = 1h;
  Tracing tracing(settings_for(collector.url()), nullptr, tempo);
  SpanQueue& one = tracing.add_queue();
  SpanQueue& other = tracing.add_queue();
  for (std::size_t i = 0; i < kBatchMax - 1; ++i) {
    one.put(span_named("at the end"));
    other.put(span_named("at the end"));
  }
  tracing.stop(monotonic_now() + 10s);
  std::size_t sent = 0;
  for (const std::string& each : collector.requests()) sent += times(each, "at the end");
  EXPECT_EQ(sent, 2 * (kBatchMax - 1));
  EXPECT_EQ(tracing.counts().dropped, 0U);
}

}  // namespace
}  // namespace eventrelay::trace
