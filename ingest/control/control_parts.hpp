// What the calls of the control API work with: each class of calls is lent all of it.
//
// Why:     the classes are made once, while the settings change under them.
// Owner:   ControlApi.  Thread: control.
// Bounds:  references, and the settings in force.
#pragma once

#include <memory>

#include "common/observe/metrics.hpp"
#include "common/registry/settings.hpp"
#include "ingest/control/authorization.hpp"
#include "ingest/control/box_gateway.hpp"
#include "ingest/control/console_api.hpp"
#include "ingest/control/documents.hpp"
#include "ingest/history/history.hpp"
#include "ingest/replay/replays.hpp"

namespace eventrelay::control {

// What is lent outlives the classes of calls.
struct ControlParts {
  Documents& documents;
  BoxGateway& box;
  ConsoleApi& console;
  history::History& history;
  replay::Replays& replays;
  metrics::Slab& slab;
  std::shared_ptr<const Settings> settings;
  std::shared_ptr<const Callers> callers;  // of these settings
};

}  // namespace eventrelay::control
