// The admin routes that pause one subscription by hand and resume it.
//
//   POST /api/v1/subscriptions/off?id=427236
//     200 {"subscription":"427236","state":"off","changed":true}
//     404 another worker owns its partition, or nobody knows it
//   POST /api/v1/subscriptions/on?id=427236
//
// Why:     an operator stops what goes to one endpoint, and lets it go on, without losing any.
// Owner:   the service.  Thread: control thread.
// Bounds:  one request at a time per connection.
// Errors:  as answers.
#pragma once

#include <functional>
#include <string_view>

#include "common/process/admin.hpp"
#include "relay/backlog/detacher.hpp"

namespace eventrelay::relay {

using ChangePause = std::function<PauseChange(PauseState to, std::string_view subscription)>;

void mount_pause_routes(AdminServer& server, ChangePause change_pause);

}  // namespace eventrelay::relay
