// What a run takes out of a checkout of the sources: a broker of its own, and other revisions.
//
// Why:     the shipped command line has neither Kafka nor a compiler; in a checkout one command is
//          enough.
// Thread:  one owner; building blocks for minutes.
// Bounds:  one broker; one folder, removed with its owner.
// Errors:  std::runtime_error with one line.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "bench/load/process.hpp"
#include "bench/scenarios/scenarios.hpp"

namespace eventrelay::bench {

// The folder with the sources that this program was built from; empty: there is none above it.
[[nodiscard]] std::string checkout_folder();

// The same; throws that `what` needs one.
[[nodiscard]] std::string required_checkout(std::string_view what);

inline constexpr std::string_view kOwnBroker = "a run without --kafka HOST:PORT";

// A Kafka broker on loopback, with the settings for measuring. Thread: one owner.
class OwnBroker {
 public:
  OwnBroker();
  [[nodiscard]] const std::string& address() const noexcept { return address_; }

 private:
  std::string folder_;
  std::unique_ptr<Process> process_;
  std::string address_;
};

// Another revision of this repository, built in a folder of its own. Thread: one owner.
class Revision {
 public:
  // `name`: anything git knows as a commit. `progress` is told what takes long.
  Revision(const std::string& name, const std::function<void(const std::string&)>& progress);
  Revision(const Revision&) = delete;
  Revision& operator=(const Revision&) = delete;
  ~Revision();

  [[nodiscard]] const Build& build() const noexcept { return build_; }

 private:
  std::string root_;
  std::string folder_;
  Build build_;
};

}  // namespace eventrelay::bench
