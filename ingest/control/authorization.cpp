#include "ingest/control/authorization.hpp"

#include <algorithm>

#include "common/base/crypto.hpp"
#include "common/config/config_units.hpp"

namespace eventrelay::control {
namespace {

constexpr std::chrono::minutes kFailureWindow{1};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string secret_hash(std::string_view secret) {
  return std::string(crypto::sha256(secret).view());
}

}  // namespace

std::optional<Credentials> parse_authorization(std::string_view header) {
  Credentials out;
  for (std::string_view rest = header;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = trimmed(rest.substr(0, comma));
    const std::size_t blank = part.find_first_of(" \t");
    if (blank == std::string_view::npos) return std::nullopt;
    const std::string word = config::ascii_lower(part.substr(0, blank));
    const std::string_view secret = trimmed(part.substr(blank));
    std::string_view* const slot = word == "user"           ? &out.user
                                   : word == "organization" ? &out.organization
                                   : word == "element"      ? &out.element
                                                            : nullptr;
    const bool good = slot != nullptr && slot->empty() && !secret.empty() &&
                      secret.find_first_of(" \t") == std::string_view::npos;
    if (!good) return std::nullopt;
    *slot = secret;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (out.user.empty()) return std::nullopt;
  return out;
}

Callers::Callers(const ControlConfig& config) : organizations_(config.organizations) {
  for (const OrganizationConfig& organization : organizations_) {
    for (const AccountConfig& account : organization.accounts) {
      for (const UserConfig& user : account.users) {
        if (!user.secret) continue;  // refused by the check of the configuration
        by_hash_[secret_hash(user.secret->reveal())] = Caller{&organization, &account, &user};
        by_id_[user.id] = Caller{&organization, &account, &user};
      }
    }
  }
}

std::optional<Caller> Callers::user(std::string_view secret) const {
  const auto found = by_hash_.find(secret_hash(secret));
  if (found == by_hash_.end()) return std::nullopt;
  if (!crypto::equal_constant_time(found->second.user->secret->reveal(), secret)) {
    return std::nullopt;
  }
  return found->second;
}

bool Callers::belongs(const Caller& caller, std::string_view secret) {
  const std::optional<Secret>& own = caller.organization->secret;
  return own && crypto::equal_constant_time(secret_hash(own->reveal()), secret_hash(secret));
}

std::optional<unsigned> FailureLimit::wait(std::string_view address, std::uint32_t per_minute,
                                           TimePoint now) {
  if (per_minute == 0) return std::nullopt;
  const auto found = windows_.find(std::string(address));
  if (found == windows_.end()) return std::nullopt;
  const Duration left = found->second.since + kFailureWindow - now;
  if (left <= Duration::zero()) {
    windows_.erase(found);
    return std::nullopt;
  }
  if (found->second.count < per_minute) return std::nullopt;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(left).count();
  return static_cast<unsigned>(std::max<std::int64_t>(seconds, 1));
}

void FailureLimit::failed(std::string_view address, TimePoint now) {
  if (windows_.size() >= kAddressesMax) {
    std::erase_if(windows_,
                  [&](const auto& each) { return each.second.since + kFailureWindow <= now; });
    if (windows_.size() >= kAddressesMax) windows_.clear();
  }
  Window& window = windows_[std::string(address)];
  if (window.count == 0 || window.since + kFailureWindow <= now) window = {now, 0};
  ++window.count;
}

std::optional<Caller> Callers::by_id(std::uint64_t id) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::nullopt;
  return found->second;
}

const UserConfig* Callers::find_user(std::uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.user;
}

}  // namespace eventrelay::control
