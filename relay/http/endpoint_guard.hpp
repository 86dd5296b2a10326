// Judges where a delivery may connect to: every resolved address and the port, just before dialing.
//
// Why:     a callback URL is a stranger's wish: without this the relay is a door into its own
//          network (cheatsheetseries.owasp.org, Server Side Request Forgery Prevention).
// Owner:   the shard, one per subscription's limits.  Thread: immutable, any.
// Bounds:  two tables of constants; O(table) per address, no allocation.
// Errors:  a verdict with the rule that denied; nothing throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace eventrelay::relay {

// An IP address in network order.
struct Address {
  enum class Family : std::uint8_t { V4, V6 };
  Family family = Family::V4;
  std::array<std::uint8_t, 16> bytes{};  // V4 uses the first four

  [[nodiscard]] static Address v4(const std::array<std::uint8_t, 4>& bytes) noexcept;
  [[nodiscard]] static Address v6(const std::array<std::uint8_t, 16>& bytes) noexcept;
};

// Public: anybody's network. Private: allowed if the operator says so (loopback, RFC 1918, shared
// space, unique local). Never: no delivery ever (metadata services, multicast, translations, ...).
enum class Zone : std::uint8_t { Public, Private, Never };

// Bounds: `rule` is a constant, e.g. "10.0.0.0/8".
struct Judgement {
  Zone zone = Zone::Never;
  std::string_view rule;  // empty when public
};

// Pure classification. IPv6 outside 2000::/3 is never public; an IPv4 address written as IPv6 is
// never allowed in any of its forms.
[[nodiscard]] Judgement judge(const Address& address) noexcept;

// Thread: immutable.  Bounds: as configured.
struct GuardConfig {
  bool allow_private_addresses = false;  // of the subscription or of the whole relay
  bool allow_http = false;               // adds port 80
  std::vector<std::uint16_t> ports{};    // beside 443 and 8443
};

// Thread: immutable.  Bounds: O(answers).
class EndpointGuard {
 public:
  explicit EndpointGuard(GuardConfig config) : config_(std::move(config)) {}

  // 443, 8443 and the configured ones; any but 0 where private addresses are allowed.
  [[nodiscard]] bool allows_port(std::uint16_t port) const noexcept;
  [[nodiscard]] bool allows(const Address& address) const noexcept;
  // The answers to one name: a single address that is not allowed denies the name, since a mixed
  // answer is how a rebinding attack looks. Returns the first judgement that denies, or Public.
  // No answers: Never.
  [[nodiscard]] Judgement judge_answers(std::span<const Address> answers) const noexcept;

 private:
  GuardConfig config_;
};

}  // namespace eventrelay::relay
