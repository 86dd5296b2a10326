// A JSON document with the values of one member hidden.
//
// Why:     a shared token that a provider repeats in its body proves who sent it, so neither Kafka
//          nor a subscriber may have it. All other bytes stay as they came.
// Thread:  any.
// Bounds:  the result is at most 3/2 of the document; one pass, no recursion.
// Errors:  none; of a text that is not JSON whatever looks like such a member is hidden.
#pragma once

#include <string>
#include <string_view>

namespace eventrelay {

// Appends `json` with "***" in place of each string that is the value of a member `name`, at any
// depth and however the name is escaped.
void append_json_masked(std::string& out, std::string_view json, std::string_view name);

}  // namespace eventrelay
