#include "common/providers/shared_token.hpp"

#include "common/base/crypto.hpp"

namespace eventrelay::providers {

bool token_matches(const Secret& expected, std::string_view given) noexcept {
  return !expected.empty() && crypto::equal_constant_time(expected.reveal(), given);
}

}  // namespace eventrelay::providers
