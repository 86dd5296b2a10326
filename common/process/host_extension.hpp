// What a process runs beside its service: the control API, where it is enabled.
//
// Why:     the data plane must not know the control plane; both hang on the host of the process.
// Owner:   main.  Thread: control, all members, unless stated.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/http/types.hpp"
#include "common/observe/metrics.hpp"
#include "common/registry/follower.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay {

class AdminServer;

// Thread: control.
class HostExtension {
 public:
  virtual ~HostExtension() = default;

  // Before the service starts. Throws StartError.
  virtual void start(Executor control, std::shared_ptr<const Settings> settings, AdminServer& admin,
                     metrics::Slab& slab) = 0;
  // After a reload that took effect.
  virtual void on_settings(std::shared_ptr<const Settings> settings) = 0;
  // Records of the registry, in their order; what of them can be read is in force in this process.
  // The first call brings the newest of each key. `position` is the offset behind everything that
  // was read.
  virtual void on_records(std::vector<RegistryRecord> records, std::int64_t position) = 0;
  // Reasons why the process is not ready.
  [[nodiscard]] virtual std::vector<std::string> not_ready() const = 0;
  // One JSON object for the status; empty: nothing to show.
  [[nodiscard]] virtual std::string status() const = 0;
  virtual void stop() = 0;
};

using ExtensionFactory = std::function<std::unique_ptr<HostExtension>()>;

}  // namespace eventrelay
