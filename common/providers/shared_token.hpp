// The one proof that Box V1 can carry: an extra parameter whose value both sides know.
//
// Thread:  any; pure.  Bounds: O(length of the token).
#pragma once

#include <string_view>

#include "common/base/secret.hpp"

namespace eventrelay::providers {

// In a time that does not depend on where the two differ. An empty secret never matches.
[[nodiscard]] bool token_matches(const Secret& expected, std::string_view given) noexcept;

}  // namespace eventrelay::providers
