#include "common/process/service_host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "common/observe/log.hpp"
#include "tests/component/common/process/fake_service.hpp"
#include "tests/support/http_probe.hpp"

namespace eventrelay {
namespace {

using testing::FakeService;
using ::testing::HasSubstr;
using testing::HttpProbe;
using ::testing::Not;
using testing::RawResponse;

constexpr const char* kGood = "version: 1\nadmin: {listen: \"127.0.0.1:0\"}\n";
constexpr const char* kBad = "version: 1\nnonsense: 1\n";

// A host on a loop of its own thread, with a configuration in a file that may change.
class ServiceHostTest : public ::testing::Test {
 protected:
  void write_config(const std::string& text) { std::ofstream(path_) << text; }

  void start(const std::string& config = kGood) {
    write_config(config);
    HostOptions options;
    options.input.path = path_;
    options.admin_default = "127.0.0.1:0";
    options.on_settings = [this](const Settings&) { ++settings_seen_; };
    options.on_ready = [this] { ready_.set_value(); };
    host_.emplace(loop_, service_, options);
    host_->start(load_settings(options.input));
    address_ = host_->admin_address();
    thread_ = std::thread([this] { loop_.run(); });
  }

  void TearDown() override {
    if (thread_.joinable()) {
      asio::post(loop_, [this] { host_->stop(); });
      thread_.join();
    }
    ::unlink(path_.c_str());
  }

  bool becomes_ready() {
    return ready_.get_future().wait_for(std::chrono::seconds{10}) == std::future_status::ready;
  }

  RawResponse get(const std::string& path) { return HttpProbe(address_).get(path); }
  RawResponse post(const std::string& path) { return HttpProbe(address_).post(path); }

  std::string path_ = ::testing::TempDir() + "host_test_" + std::to_string(::getpid()) + ".yaml";
  asio::io_context loop_{1};
  FakeService service_;
  std::promise<void> ready_;
  std::optional<ServiceHost> host_;
  std::string address_;
  std::atomic<int> settings_seen_{0};
  std::thread thread_;
};

TEST_F(ServiceHostTest, IsHealthyBeforeItIsReady) {
  service_.ready = false;
  start();
  EXPECT_EQ(get("/healthz").status, 200);
  const RawResponse waiting = get("/readyz");
  EXPECT_EQ(waiting.status, 503);
  EXPECT_EQ(waiting.body, R"({"ready":false,"reasons":["kafka \"unreachable\""]})");
  service_.ready = true;
  EXPECT_TRUE(becomes_ready());
  const RawResponse ready = get("/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(ready.body, R"({"ready":true,"reasons":[]})");
}

TEST_F(ServiceHostTest, ExposesMetrics) {
  start();
  log::warn("a line to be counted");
  const RawResponse response = get("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.header("Content-Type"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(response.body, HasSubstr("\neventrelay_config_last_reload_successful 1\n"));
  EXPECT_THAT(response.body, HasSubstr("\nprocess_cpu_seconds_total "));
  EXPECT_THAT(response.body, Not(HasSubstr("eventrelay_relay_")));
}

TEST_F(ServiceHostTest, TellsWhatItsSettingsAllow) {
  start();
  ASSERT_TRUE(becomes_ready());
  const auto metrics = [this] { return get("/metrics").body; };
  const std::string body = metrics();
  EXPECT_THAT(body, HasSubstr("\neventrelay_ready 1\n"));
  EXPECT_THAT(body, HasSubstr("\neventrelay_memory_limit_bytes{what=\"memory_max\"} 268435456\n"));
  EXPECT_THAT(body, HasSubstr("\neventrelay_admin_refused_total 0\n"));
  const auto hash = [](const std::string& page) {
    const std::string name = "\neventrelay_config_hash_info{hash=\"";
    return page.substr(page.find(name) + name.size(), 16);
  };
  const std::string before = hash(body);
  EXPECT_EQ(post("/-/reload").status, 200);
  EXPECT_EQ(hash(metrics()), before);
  write_config(std::string{kGood} + "log: {level: warn}\n");
  EXPECT_EQ(post("/-/reload").status, 200);
  EXPECT_NE(hash(metrics()), before);
}

TEST_F(ServiceHostTest, IsNotReadyWhileAShardStandsStill) {
  service_.silent_after_reload = true;
  start();
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(post("/-/reload").status, 200);
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(ServiceHostTest, OpensItsMetricsWhereAskedTo) {
  const std::string token_file = path_ + ".token";
  std::ofstream(token_file) << "s3cret-token\n";
  start(
      "version: 1\nadmin: {listen: \"127.0.0.1:0\", open: [metrics], hosts: [relay.example], "
      "token_file: " +
      token_file + "}\n");
  ::unlink(token_file.c_str());
  EXPECT_EQ(get("/metrics").status, 200);
  EXPECT_EQ(get("/version").status, 401);
  EXPECT_THAT(get("/metrics").body, HasSubstr("\neventrelay_admin_refused_total 1\n"));
}

TEST_F(ServiceHostTest, OffLoopbackWithoutATokenAnswersProbesAlone) {
  start("version: 1\nadmin: {listen: \"0.0.0.0:0\"}\n");
  for (const char* path : {"/healthz", "/readyz"}) EXPECT_EQ(get(path).status, 200) << path;
  for (const char* path : {"/metrics", "/version", "/api/v1/status"}) {
    EXPECT_EQ(get(path).status, 403) << path;
  }
  EXPECT_EQ(post("/-/reload").status, 403);
  EXPECT_EQ(service_.reloads, 0);
}

TEST_F(ServiceHostTest, CountsLogLinesByLevel) {
  start();
  const auto count = [this] {
    const std::string body = get("/metrics").body;
    const std::string series = "eventrelay_log_messages_total{level=\"error\"} ";
    return std::stoi(body.substr(body.find(series) + series.size()));
  };
  const int before = count();
  count_log_line(LogLevel::Error);
  count_log_line(LogLevel::Error);
  count_log_line(LogLevel::Info);
  EXPECT_EQ(count(), before + 2);
}

TEST_F(ServiceHostTest, TellsVersionAndStatus) {
  start();
  const RawResponse version = get("/version");
  EXPECT_EQ(version.status, 200);
  for (const char* part :
       {"version", "commit", "compiler", "librdkafka", "boost", "simdjson", "openssl"}) {
    EXPECT_THAT(version.body, HasSubstr('"' + std::string{part} + "\":\""));
  }
  EXPECT_THAT(version.body, Not(HasSubstr("\"\"")));
  EXPECT_EQ(get("/api/v1/status").body, R"({"service":"fake"})");
}

TEST_F(ServiceHostTest, RefusesOtherMethodsAndPaths) {
  start();
  for (const char* path : {"/healthz", "/readyz", "/metrics", "/version", "/api/v1/status"}) {
    const RawResponse response = post(path);
    EXPECT_EQ(response.status, 405) << path;
    EXPECT_EQ(response.header("Allow"), "GET, HEAD") << path;
    EXPECT_EQ(get(std::string{path} + "/x").status, 404) << path;
  }
  const RawResponse reload = get("/-/reload");
  EXPECT_EQ(reload.status, 405);
  EXPECT_EQ(reload.header("Allow"), "POST");
  EXPECT_EQ(service_.reloads, 0);
}

TEST_F(ServiceHostTest, AsksForTheTokenExceptForProbes) {
  const std::string token_file = path_ + ".token";
  std::ofstream(token_file) << "s3cret-token\n";
  start("version: 1\nadmin: {listen: \"127.0.0.1:0\", token_file: " + token_file + "}\n");
  ::unlink(token_file.c_str());
  for (const char* path : {"/healthz", "/readyz"}) EXPECT_EQ(get(path).status, 200) << path;
  for (const char* path : {"/metrics", "/version", "/api/v1/status"}) {
    EXPECT_EQ(get(path).status, 401) << path;
    EXPECT_EQ(HttpProbe(address_).get(path, "Authorization: Bearer s3cret-token\r\n").status, 200);
  }
  EXPECT_EQ(post("/-/reload").status, 401);
  EXPECT_EQ(service_.reloads, 0);
}

TEST_F(ServiceHostTest, ReloadsTheFile) {
  start();
  EXPECT_EQ(settings_seen_, 1);
  const RawResponse response = post("/-/reload");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(service_.reloads, 1);
  EXPECT_EQ(settings_seen_, 2);
}

TEST_F(ServiceHostTest, KeepsTheOldSettingsWhenTheNewOnesAreWrong) {
  start();
  write_config(kBad);
  const RawResponse response = post("/-/reload");
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("nonsense"));
  EXPECT_THAT(response.body, HasSubstr("\"errors\":[\""));
  EXPECT_EQ(service_.reloads, 0);
  EXPECT_EQ(settings_seen_, 1);
  EXPECT_THAT(get("/metrics").body, HasSubstr("\neventrelay_config_last_reload_successful 0\n"));
  write_config(kGood);
  EXPECT_EQ(post("/-/reload").status, 200);
  EXPECT_THAT(get("/metrics").body, HasSubstr("\neventrelay_config_last_reload_successful 1\n"));
}

TEST_F(ServiceHostTest, KeepsTheOldSettingsWhenTheServiceRefusesTheNew) {
  service_.reload_error = "ingest.tls.cert 'a.pem': no such file";
  start();
  const RawResponse response = post("/-/reload");
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("a.pem"));
  EXPECT_EQ(settings_seen_, 1);
}

TEST_F(ServiceHostTest, IsNotReadyWhileItDrains) {
  std::promise<std::function<void()>> drain_begun;
  service_.on_drain = [&](std::function<void()> done) { drain_begun.set_value(std::move(done)); };
  start();
  std::promise<Drained> drained;
  asio::post(loop_, [&] { host_->drain([&](Drained how) { drained.set_value(how); }); });
  const std::function<void()> done = drain_begun.get_future().get();
  const RawResponse response = get("/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, R"({"ready":false,"reasons":["draining"]})");
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(post("/-/reload").status, 400);
  std::thread(done).join();  // a service may be done on any thread
  EXPECT_EQ(drained.get_future().get(), Drained::Complete);
}

TEST_F(ServiceHostTest, EndsADrainAtItsLimit) {
  service_.limit = std::chrono::milliseconds{50};
  service_.on_drain = [](std::function<void()>) {};
  start();
  std::promise<Drained> drained;
  asio::post(loop_, [&] { host_->drain([&](Drained how) { drained.set_value(how); }); });
  EXPECT_EQ(drained.get_future().get(), Drained::LimitReached);
}

TEST_F(ServiceHostTest, LetsAStartErrorPass) {
  service_.start_error = "no";
  EXPECT_THROW(start(), StartError);
}

}  // namespace
}  // namespace eventrelay
