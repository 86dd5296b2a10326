// A JSON document for a screen: its outer objects opened, what is inside filled into lines.
//
// Owner:   whoever prints.  Thread: any; pure.
// Bounds:  lines of at most `width` columns where the text can be broken; each member of the
//          innermost object shown takes at most kMemberLines, what is longer ends in `..`.
// Errors:  none; what is no JSON object comes back as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace eventrelay::cli {

inline constexpr std::size_t kMemberLines = 3;

[[nodiscard]] std::string json_view(std::string_view document, std::size_t width);

}  // namespace eventrelay::cli
