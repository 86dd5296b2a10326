// What the brokers do not allow the user of this configuration.
//
// Why:     a topic that may not be seen looks as if it did not exist, and a missing right shows
//          itself only when the first event is to be read or written; an operator asks before.
// Thread:  main, of a tool; blocks.  Bounds: about five seconds after a broker answers.
// Errors:  values; StartError if no broker answers or a property is wrong.
#pragma once

#include <string>
#include <vector>

#include "common/config/config.hpp"

namespace eventrelay::kafka {

// One sentence for each right that is missing: to see a topic, to read one, to read with the groups
// of relay.group, to write. Whether one may write is known for all topics together only: a broker
// tells a producer apart that may write to none of them.
[[nodiscard]] std::vector<std::string> missing_rights(const Config& config);

}  // namespace eventrelay::kafka
