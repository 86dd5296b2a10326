// A whole program around a service that misbehaves as PROBE says; runtime_test runs it.
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "common/base/start_error.hpp"
#include "tests/component/common/process/fake_service.hpp"

namespace {

using eventrelay::testing::FakeService;

std::unique_ptr<eventrelay::Service> make() {
  const char* const told = std::getenv("PROBE");
  const std::string probe = told == nullptr ? "" : told;
  auto service = std::make_unique<FakeService>();
  FakeService* const fake = service.get();
  if (probe == "start_error") fake->start_error = "ingest.listen 127.0.0.1:1: taken";
  if (probe == "fails") fake->failure = "fenced by another member";
  if (probe == "start_blocks") fake->block_start = true;
  if (probe == "silent") fake->silent_after_reload = true;
  if (probe == "never_ready") fake->ready = false;
  if (probe == "drain_never") {
    fake->limit = std::chrono::milliseconds{200};
    fake->on_drain = [](std::function<void()>) {};
  }
  if (probe == "drain_long") fake->on_drain = [](std::function<void()>) {};
  if (probe == "drain_blocks") {
    fake->limit = std::chrono::milliseconds{200};
    fake->on_drain = [](std::function<void()>) {
      for (;;) ::pause();
    };
  }
  if (probe == "stop_blocks") {
    fake->limit = std::chrono::milliseconds{200};
    fake->on_stop = [] {
      for (;;) ::pause();
    };
  }
  return service;
}

}  // namespace

int main(int argc, char** argv) {
  return eventrelay::run_service(argc, argv, "runtime-probe", make);
}
