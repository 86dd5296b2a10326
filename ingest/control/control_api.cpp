#include "ingest/control/control_api.hpp"

#include <utility>

namespace eventrelay::control {

ControlApi::ControlApi(std::shared_ptr<const Settings> settings, Documents& documents,
                       BoxGateway& box, ConsoleApi& console, history::History& history,
                       replay::Replays& replays, metrics::Slab& slab)
    : parts_{documents, box, console, history, replays, slab, nullptr, nullptr} {
  use(std::move(settings));
}

void ControlApi::use(std::shared_ptr<const Settings> settings) {
  parts_.callers = std::make_shared<const Callers>(settings->config.control);
  parts_.settings = std::move(settings);
}

void ControlApi::replay_ended(const std::string& id, replay::Progress progress) {
  replays_.replay_ended(id, std::move(progress));
}

void ControlApi::mount(AdminServer& admin) {
  elements_.mount(admin, server_);
  instances_.mount(admin, server_);
  events_.mount(admin, server_);
  counts_.mount(admin, server_);
  pauses_.mount(admin, server_);
  accounts_.mount(admin, server_);
  replays_.mount(admin, server_);
  webhooks_.mount(admin, server_);
  console_.mount(admin, server_);
}

}  // namespace eventrelay::control
