// The registry in Kafka as a process sees it: instances at start, then each change.
//
// Why:     a document that can not be read must neither stop the process nor take its instance
//          away: the former version stays, is counted and told.
// Owner:   ServiceHost.  Thread: load() any, once; all else control.
// Bounds:  100,000 instances.
// Errors:  StartError while it is made; later a document at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/config/config.hpp"
#include "common/registry/change.hpp"
#include "common/registry/document.hpp"
#include "common/registry/follower.hpp"
#include "common/registry/instance_maker.hpp"

namespace eventrelay {

// Thread: see above.
class RegistryFeed {
 public:
  explicit RegistryFeed(const Config& config);
  RegistryFeed(const RegistryFeed&) = delete;
  RegistryFeed& operator=(const RegistryFeed&) = delete;
  ~RegistryFeed();

  // All records up to the end of the topic. Blocks.
  [[nodiscard]] std::vector<RegistryRecord> load() { return follower_.load(); }
  // What changed by these records; what can not be read is counted and left out.
  [[nodiscard]] Changes changes(const std::vector<RegistryRecord>& records);
  // After a reload: other master keys or limits. The records that could not be read, to be tried
  // again.
  [[nodiscard]] std::vector<RegistryRecord> use(const Config& config);
  // `on_records` runs on the follower's thread.
  void follow(RegistryFollower::OnBatch on_records) { follower_.follow(std::move(on_records)); }
  void stop() { follower_.stop(); }

  [[nodiscard]] std::int64_t position() const noexcept { return follower_.position(); }
  // Documents of which no version, or only a former one, is in force.
  [[nodiscard]] std::size_t unreadable() const noexcept { return unreadable_.size(); }
  // Reasons that begin with `registry`.
  [[nodiscard]] std::vector<std::string> not_ready() const;

 private:
  struct Unreadable {
    RegistryRecord record;
    std::string master_key;  // that is not in seal.keys; empty: another reason
  };

  void refuse(const RegistryRecord& record, std::string_view what, std::string master_key);

  RegistryFollower follower_;
  Config limits_;  // what an instance is judged by; it has none itself
  InstanceMaker maker_;
  Keyring keys_;
  std::map<std::string, Unreadable> unreadable_;
};

// The topic of the registry.
[[nodiscard]] std::string registry_topic(const Config& config);

}  // namespace eventrelay
