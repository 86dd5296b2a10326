// A JSON document for a screen: the outer object and one member of it opened, what is inside filled
// into lines.
//
// Owner:   the command that prints.  Thread: any; pure.
// Bounds:  lines of at most `width` columns where the text can be broken; a member takes at most
//          kMemberLines, an object one line, what is longer ends in `..`.
// Errors:  none; what is no JSON object comes back as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace eventrelay::cli {

inline constexpr std::size_t kMemberLines = 3;

// `opened`: the member that is opened where it is an object.
[[nodiscard]] std::string json_view(std::string_view document, std::size_t width,
                                    std::string_view opened);

}  // namespace eventrelay::cli
