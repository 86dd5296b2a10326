#include "ingest/verify/shared_token.hpp"

#include "common/base/crypto.hpp"

namespace eventrelay::ingest::verify {

bool token_matches(const Secret& expected, std::string_view given) noexcept {
  return !expected.empty() && crypto::equal_constant_time(expected.reveal(), given);
}

}  // namespace eventrelay::ingest::verify
