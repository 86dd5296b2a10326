#include "common/process/runtime.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <fstream>
#include <string>

#include "tests/component/common/process/child.hpp"
#include "tests/support/http_probe.hpp"

namespace eventrelay {
namespace {

using testing::Child;
using ::testing::HasSubstr;
using testing::HttpProbe;
using ::testing::Not;

constexpr const char* kGood = "version: 1\nadmin: {listen: \"127.0.0.1:0\"}\n";

class RunService : public ::testing::Test {
 protected:
  void SetUp() override { write_config(kGood); }
  void TearDown() override { ::unlink(path_.c_str()); }
  void write_config(const std::string& text) { std::ofstream(path_) << text; }

  // The probe with its configuration, behaving as `probe`.
  Child start(const std::string& probe = {}) {
    return Child(RUNTIME_PROBE, {"-c", path_}, {"PROBE=" + probe});
  }
  Child with_flags(const std::vector<std::string>& flags,
                   const std::vector<std::string>& environment = {}) {
    return Child(RUNTIME_PROBE, flags, environment);
  }
  // Value of a text field of the line `message`.
  static std::string field(const std::string& output, const std::string& name,
                           const std::string& message = "ready") {
    const std::string key = '"' + name + "\":\"";
    const std::size_t line = output.find("\"msg\":\"" + message + '"');
    const std::size_t begin = output.find(key, output.rfind('\n', line) + 1) + key.size();
    return output.substr(begin, output.find('"', begin) - begin);
  }

  std::string path_ = ::testing::TempDir() + "runtime_test_" + std::to_string(::getpid()) + ".yaml";
};

TEST_F(RunService, SaysReadyWithRealPortsAndDrainsOnSigterm) {
  Child child = start();
  ASSERT_TRUE(child.says("\"msg\":\"ready\"")) << child.output();
  ASSERT_TRUE(child.says("\n"));
  EXPECT_EQ(field(child.output(), "listen"), "127.0.0.1:1");
  EXPECT_THAT(child.output(), HasSubstr("\"shards\":3"));
  const std::string admin = field(child.output(), "admin");
  EXPECT_EQ(HttpProbe(admin).get("/readyz").status, 200) << admin;
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 0) << child.output();
  EXPECT_THAT(child.output(), HasSubstr("\"msg\":\"drained\""));
}

TEST_F(RunService, DrainsOnSigintAndBeforeItIsReady) {
  Child ready = start();
  ASSERT_TRUE(ready.says("\"msg\":\"ready\""));
  ready.signal(SIGINT);
  EXPECT_EQ(ready.wait(), 0);
  Child waiting = start("never_ready");
  ASSERT_TRUE(waiting.says("\"msg\":\"starting\"")) << waiting.output();
  waiting.signal(SIGTERM);
  EXPECT_EQ(waiting.wait(), 0);
  EXPECT_THAT(waiting.output(), Not(HasSubstr("\"msg\":\"ready\"")));
}

TEST_F(RunService, AnswersWhileItStarts) {
  Child child = start("start_blocks");
  ASSERT_TRUE(child.says("\"msg\":\"starting\"")) << child.output();
  ASSERT_TRUE(child.says("\n"));
  HttpProbe probe(field(child.output(), "admin", "starting"));
  EXPECT_EQ(probe.get("/healthz").status, 200);
  EXPECT_EQ(probe.get("/readyz").body, R"({"ready":false,"reasons":["starting"]})");
  EXPECT_EQ(probe.get("/metrics").status, 200);
  EXPECT_EQ(probe.get("/api/v1/status").status, 503);
  EXPECT_EQ(probe.post("/-/reload").status, 400);
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 0) << child.output();
  EXPECT_THAT(child.output(), HasSubstr("ended while starting"));
}

TEST_F(RunService, DrainsAndEndsWithOneWhenTheServiceFails) {
  Child child = start("fails");
  EXPECT_TRUE(child.says("fenced by another member"));
  EXPECT_EQ(child.wait(), 1) << child.output();
  EXPECT_THAT(child.output(), HasSubstr("\"msg\":\"drained\""));
}

TEST_F(RunService, EndsWithOneWhenADrainPassesItsLimit) {
  Child child = start("drain_never");
  ASSERT_TRUE(child.says("\"msg\":\"ready\""));
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 1);
  EXPECT_THAT(child.output(), HasSubstr("drain limit reached"));
}

TEST_F(RunService, WatchdogEndsAHangingControlThread) {
  for (const char* probe : {"drain_blocks", "stop_blocks"}) {
    Child child = start(probe);
    ASSERT_TRUE(child.says("\"msg\":\"ready\""));
    child.signal(SIGTERM);
    EXPECT_EQ(child.wait(), 1) << probe;
    EXPECT_THAT(child.output(), HasSubstr("drain did not end in time")) << probe;
  }
}

TEST_F(RunService, SecondSignalEndsAtOnce) {
  for (const char* probe : {"drain_long", "drain_blocks"}) {
    for (const int second : {SIGTERM, SIGINT}) {
      Child child = start(probe);
      ASSERT_TRUE(child.says("\"msg\":\"ready\""));
      child.signal(SIGTERM);
      ASSERT_TRUE(child.says("draining")) << child.output();
      child.signal(second);
      EXPECT_EQ(child.wait(), 1) << probe;
      EXPECT_THAT(child.output(), HasSubstr("second signal")) << probe;
    }
  }
}

TEST_F(RunService, ReloadsOnSighupAndKeepsTheOldOnError) {
  Child child = start();
  ASSERT_TRUE(child.says("\"msg\":\"ready\""));
  write_config(std::string{kGood} + "nonsense: 1\n");
  child.signal(SIGHUP);
  ASSERT_TRUE(child.says("reload refused")) << child.output();
  ASSERT_TRUE(child.says("nonsense")) << child.output();
  write_config(std::string{kGood} + "ingest: {shards: 7}\n");
  child.signal(SIGHUP);
  ASSERT_TRUE(child.says("configuration reloaded")) << child.output();
  ASSERT_TRUE(child.says("take effect at the next start")) << child.output();
  EXPECT_TRUE(child.says("ingest.shards")) << child.output();
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 0);
}

// A service manager's socket, by name; what the process told it, in order.
class Manager {
 public:
  explicit Manager(std::string name) : name_(std::move(name)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data(), name_.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    set_patience(std::chrono::seconds{10});
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() { ::close(socket_); }

  [[nodiscard]] std::string variable() const { return "NOTIFY_SOCKET=@" + name_; }
  // The next message, "nothing" if none comes in time.
  [[nodiscard]] std::string any() const {
    std::string text(4096, '\0');
    const ssize_t size = ::recv(socket_, text.data(), text.size(), 0);
    if (size <= 0) return "nothing";
    text.resize(static_cast<std::size_t>(size));
    return text;
  }
  // The next message that is no sign of life.
  [[nodiscard]] std::string next() const {
    std::string text = any();
    while (text == "WATCHDOG=1") text = any();
    return text;
  }
  void set_patience(std::chrono::milliseconds limit) const {
    const timeval time{limit.count() / 1000, limit.count() % 1000 * 1000};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  }

 private:
  std::string name_;
  int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

TEST_F(RunService, TellsTheServiceManagerHowItStands) {
  Manager manager("eventrelay-runtime-" + std::to_string(::getpid()));
  Child child = with_flags({"-c", path_}, {manager.variable(), "WATCHDOG_USEC=200000"});
  EXPECT_EQ(manager.next(), "READY=1");
  ASSERT_TRUE(child.says("\"msg\":\"ready\"")) << child.output();
  for (int signs = 0; signs < 3; ++signs) EXPECT_EQ(manager.any(), "WATCHDOG=1");
  child.signal(SIGHUP);
  EXPECT_THAT(manager.next(), ::testing::MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
  EXPECT_EQ(manager.next(), "READY=1");
  child.signal(SIGTERM);
  EXPECT_EQ(manager.next(), "STOPPING=1");
  EXPECT_EQ(child.wait(), 0) << child.output();
}

TEST_F(RunService, SaysNothingToTheWatchdogWhileAShardStandsStill) {
  Manager manager("eventrelay-silent-" + std::to_string(::getpid()));
  Child child =
      with_flags({"-c", path_}, {"PROBE=silent", manager.variable(), "WATCHDOG_USEC=200000"});
  EXPECT_EQ(manager.next(), "READY=1");
  ASSERT_TRUE(child.says("\"msg\":\"ready\"")) << child.output();
  ASSERT_TRUE(child.says("\n"));
  const std::string admin = field(child.output(), "admin");
  EXPECT_EQ(HttpProbe(admin).get("/readyz").status, 200);
  child.signal(SIGHUP);  // from here on a shard stands still
  EXPECT_THAT(manager.next(), HasSubstr("RELOADING=1"));
  EXPECT_EQ(manager.next(), "READY=1");
  const auto stuck = HttpProbe(admin).get("/readyz");
  EXPECT_EQ(stuck.status, 503);
  EXPECT_THAT(stuck.body, HasSubstr("loop"));
  EXPECT_THAT(HttpProbe(admin).get("/metrics").body, HasSubstr("\neventrelay_ready 0\n"));
  manager.set_patience(std::chrono::milliseconds{600});
  EXPECT_EQ(manager.any(), "nothing");
  manager.set_patience(std::chrono::seconds{10});
  child.signal(SIGTERM);
  EXPECT_EQ(manager.any(), "STOPPING=1");
}

TEST_F(RunService, ReloadsWhenTheFileChangesIfItIsWatched) {
  Child child = with_flags({"-c", path_, "--watch"});
  ASSERT_TRUE(child.says("\"msg\":\"ready\"")) << child.output();
  write_config("version: 1\nadmin: {listen: \"127.0.0.1:0\"}\nlog: {level: debug}\n");
  ASSERT_TRUE(child.says("\"msg\":\"configuration reloaded\"")) << child.output();
  write_config("version: 1\nnonsense: 1\n");
  ASSERT_TRUE(child.says("\"msg\":\"reload refused")) << child.output();
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RunService, AppliesTheLogLevelOnReload) {
  Child child = start();
  ASSERT_TRUE(child.says("\"msg\":\"ready\""));
  ASSERT_TRUE(child.says("\n"));
  write_config(std::string{kGood} + "log: {level: error}\n");
  HttpProbe probe(field(child.output(), "admin"));
  EXPECT_EQ(probe.post("/-/reload").status, 200);
  write_config("nonsense: 1\n");
  EXPECT_EQ(probe.post("/-/reload").status, 400);
  ASSERT_TRUE(child.says("reload refused")) << child.output();
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 0);
  EXPECT_THAT(child.output(), Not(HasSubstr("\"msg\":\"drained\"")));
}

TEST_F(RunService, NamesAConfigurationFaultAndExits78) {
  write_config("version: 1\nnonsense: 1\n");
  Child child = start();
  EXPECT_EQ(child.wait(), 78);
  EXPECT_THAT(child.output(), HasSubstr("runtime-probe: "));
  EXPECT_THAT(child.output(), HasSubstr("nonsense"));
  Child missing = with_flags({"-c", "/nonexistent/file.yaml"});
  EXPECT_EQ(missing.wait(), 78);
  EXPECT_THAT(missing.output(), HasSubstr("/nonexistent/file.yaml"));
  write_config(kGood);
  Child set = with_flags({"-c", path_, "--set", "ingest.shards=no"});
  EXPECT_EQ(set.wait(), 78);
  EXPECT_THAT(set.output(), HasSubstr("ingest.shards"));
}

TEST_F(RunService, TakesSetRepeatedlyAndItsFileFromTheEnvironment) {
  Child child = with_flags({"--set", "ingest.shards=1", "--set", "log.level=info"},
                           {"EVENTRELAY_CONFIG=" + path_});
  ASSERT_TRUE(child.says("\"msg\":\"ready\"")) << child.output();
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RunService, ExitsWithTwoOnWrongUsage) {
  const std::vector<std::vector<std::string>> wrong{
      {}, {"--nonsense"}, {"-c"}, {"-c", path_, "extra"}, {"-c", path_, "--set"}};
  for (const std::vector<std::string>& flags : wrong) {
    Child child = with_flags(flags);
    EXPECT_EQ(child.wait(), 2) << child.output();
    EXPECT_EQ(std::count(child.output().begin(), child.output().end(), '\n'), 1) << child.output();
  }
}

TEST_F(RunService, PrintsVersionAndHelp) {
  Child version = with_flags({"--version"});
  EXPECT_EQ(version.wait(), 0);
  EXPECT_EQ(version.output().rfind("runtime-probe " EVENTRELAY_VERSION " (", 0), 0U);
  EXPECT_EQ(std::count(version.output().begin(), version.output().end(), '\n'), 1);
  Child help = with_flags({"--help"});
  EXPECT_EQ(help.wait(), 0);
  EXPECT_THAT(help.output(), HasSubstr("--set"));
  EXPECT_THAT(help.output(), HasSubstr("ingest.ack_timeout"));
}

TEST_F(RunService, SaysInOneLineWhyItCannotStart) {
  Child child = start("start_error");
  EXPECT_EQ(child.wait(), 1);
  EXPECT_THAT(child.output(), HasSubstr("runtime-probe: ingest.listen 127.0.0.1:1: taken\n"));
}

TEST_F(RunService, NamesAnAdminAddressThatIsTaken) {
  Child first = start();
  ASSERT_TRUE(first.says("\"msg\":\"ready\""));
  ASSERT_TRUE(first.says("\n"));
  const std::string admin = field(first.output(), "admin");
  Child second = with_flags({"-c", path_, "--set", "admin.listen=" + admin});
  EXPECT_EQ(second.wait(), 1);
  EXPECT_THAT(second.output(), HasSubstr(admin));
}

}  // namespace
}  // namespace eventrelay
