// Judges where a delivery may connect to: what a URL says of it, and each address before a dial.
//
// Why:     a stranger chooses the callback URL: without this guard the relay would be a door into
//          its own network (cheatsheetseries.owasp.org, Server Side Request Forgery Prevention).
// Owner:   the code that judges: the control API at a call, the relay just before dialing.
// Thread:  immutable, any.
// Bounds:  two tables of constants; O(table) per address, no allocation.
// Errors:  a verdict with the rule that denied; nothing throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace eventrelay {

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

// The address that a host of a parsed URL is, without brackets; nothing for a name.
[[nodiscard]] std::optional<Address> address_of(std::string_view host) noexcept;

// What a host says by itself, before any name is resolved: the judgement of its address, Private
// for localhost and the names below it (RFC 6761 6.3), Public for every other name.
[[nodiscard]] Judgement judge_host(std::string_view host) noexcept;

// Does a host say by itself that it is this one? Nothing that is sent there leaves the machine.
[[nodiscard]] bool is_loopback(std::string_view host) noexcept;

struct GuardConfig {
  bool allow_private_addresses = false;  // of the subscription or of the whole relay
  bool allow_http = false;               // adds port 80, for plain HTTP
  std::vector<std::uint16_t> ports{};    // beside 443 and 8443
};

// Thread: immutable.  Bounds: O(answers).
class EndpointGuard {
 public:
  explicit EndpointGuard(GuardConfig config) : config_(std::move(config)) {}

  // 443, 8443 and the configured ones; any but 0 where private addresses are allowed.
  [[nodiscard]] bool allows_port(std::uint16_t port) const noexcept;
  [[nodiscard]] bool allows(const Address& address) const noexcept;
  // By judge_host(): a name may pass here and be denied by its addresses later.
  [[nodiscard]] bool allows_host(std::string_view host) const noexcept;
  // The answers to one name: a single address that is not allowed denies the name, since a mixed
  // answer is how a rebinding attack looks. Returns the first judgement that denies, or Public.
  // No answers: Never.
  [[nodiscard]] Judgement judge_answers(std::span<const Address> answers) const noexcept;

 private:
  [[nodiscard]] bool allows_zone(Zone zone) const noexcept;

  GuardConfig config_;
};

}  // namespace eventrelay
