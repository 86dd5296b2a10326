// A service that does nothing but behave as told, for tests of what surrounds a service.
//
// Thread: control, except the members that any thread may call.  Bounds: none.
#pragma once

#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/process/runtime.hpp"

namespace eventrelay::testing {

// Thread: as Service.  Bounds: none.
class FakeService : public Service {
 public:
  FakeService() { exporter_.show("ingest_"); }

  std::string_view name() const noexcept override { return "ingest"; }
  [[nodiscard]] bool needs_brokers() const override { return false; }
  void start(std::shared_ptr<const Settings> settings) override {
    if (!start_error.empty()) throw StartError(start_error);
    while (block_start) ::pause();
    settings_ = std::move(settings);
    if (!failure.empty()) failed(failure);
  }
  std::string listen() const override { return "127.0.0.1:1"; }
  std::vector<std::string> not_ready() const override {
    return ready ? std::vector<std::string>{} : std::vector<std::string>{"kafka \"unreachable\""};
  }
  void use(const UpdatePtr& update) override {
    ++reloads;
    if (!reload_error.empty()) throw StartError(reload_error);
    settings_ = update->settings;
  }
  void drain(std::function<void()> done) override {
    if (on_drain) return on_drain(std::move(done));
    done();
  }
  void set_failed(std::function<void(std::string)> tell) override { failed = std::move(tell); }
  Duration drain_limit() const override { return limit; }
  void stop() override {
    if (on_stop) on_stop();
  }
  unsigned shards() const noexcept override { return 3; }
  Duration silent_for() const noexcept override {
    return silent_after_reload && reloads > 0 ? Duration{std::chrono::seconds{10}}
                                              : Duration::zero();
  }
  std::string status() const override { return R"({"service":"fake"})"; }
  metrics::Exporter& exporter() noexcept override { return exporter_; }

  std::string start_error;
  bool block_start = false;
  std::string failure;  // reported once started
  std::string reload_error;
  std::function<void(std::string)> failed;
  std::atomic<bool> ready{true};
  std::atomic<int> reloads{0};
  bool silent_after_reload = false;
  Duration limit = std::chrono::seconds{5};
  std::function<void(std::function<void()>)> on_drain;
  std::function<void()> on_stop;

 protected:
  std::shared_ptr<const Settings> settings_;
  metrics::Exporter exporter_;
};

}  // namespace eventrelay::testing
