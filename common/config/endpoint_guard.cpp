#include "common/config/endpoint_guard.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace eventrelay {

namespace {

// One row: the addresses that share their first `bits` bits with `prefix`.
struct Rule {
  std::array<std::uint8_t, 16> prefix;
  unsigned bits;
  Zone zone;
  std::string_view text;
};

// Where a cloud serves its hosts their own metadata, with credentials among it: refused always, as
// they are written and inside an IPv6 address. Those of 169.254.0.0/16 are listed for the second.
//   AWS       docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
//             docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html (170.2)
//             docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html (170.23, ::23)
//   Azure     learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
//   Google    cloud.google.com/compute/docs/metadata/querying-metadata (fd20:ce::254)
//   Alibaba   www.alibabacloud.com/help/ecs/user-guide/view-instance-metadata
//   Oracle    docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm (fd00:c1::a9fe:a9fe)
//             docs.oracle.com/iaas/compute-iaas-cloud/stcsg/retrieving-instance-metadata.html
//   Scaleway  www.scaleway.com/en/docs/instances/reference-content/understanding-instance-metadata
//   Tencent   www.tencentcloud.com/document/product/213/4934 (metadata.tencentyun.com)
//   Akamai    techdocs.akamai.com/cloud-computing/docs/metadata-service-api (fd00:a9fe:a9fe::1)
//   OpenStack docs.openstack.org/nova/latest/user/metadata.html (fe80::a9fe:a9fe), as most others
struct Metadata {
  std::array<std::uint8_t, 4> address;
  std::string_view text;
};
constexpr std::array kMetadata{
    Metadata{{169, 254, 169, 254}, "metadata 169.254.169.254"},
    Metadata{{169, 254, 170, 2}, "metadata 169.254.170.2"},
    Metadata{{169, 254, 170, 23}, "metadata 169.254.170.23"},
    Metadata{{169, 254, 42, 42}, "metadata 169.254.42.42"},
    Metadata{{169, 254, 0, 23}, "metadata 169.254.0.23"},
    Metadata{{168, 63, 129, 16}, "metadata 168.63.129.16"},
    Metadata{{100, 100, 100, 200}, "metadata 100.100.100.200"},
    Metadata{{192, 0, 0, 192}, "metadata 192.0.0.192"},
};

// The bytes of an IPv6 address that hold one of IPv4, by RFC 6052 2.2 for each length of prefix;
// the first is also that of ISATAP and of a translator inside one's own network.
constexpr std::array<std::array<std::size_t, 4>, 6> kEmbedded{
    {{12, 13, 14, 15}, {9, 10, 11, 12}, {7, 9, 10, 11}, {6, 7, 9, 10}, {5, 6, 7, 9}, {4, 5, 6, 7}}};

// IANA's special-purpose registry and multicast.
constexpr std::array kV4Rules{
    Rule{{0}, 8, Zone::Never, "0.0.0.0/8"},
    Rule{{10}, 8, Zone::Private, "10.0.0.0/8"},
    Rule{{100, 64}, 10, Zone::Private, "100.64.0.0/10"},
    Rule{{127}, 8, Zone::Private, "127.0.0.0/8"},
    Rule{{169, 254}, 16, Zone::Never, "169.254.0.0/16"},
    Rule{{172, 16}, 12, Zone::Private, "172.16.0.0/12"},
    Rule{{192, 0, 0}, 24, Zone::Never, "192.0.0.0/24"},
    Rule{{192, 0, 2}, 24, Zone::Never, "192.0.2.0/24"},
    Rule{{192, 88, 99}, 24, Zone::Never, "192.88.99.0/24"},
    Rule{{192, 168}, 16, Zone::Private, "192.168.0.0/16"},
    Rule{{198, 18}, 15, Zone::Never, "198.18.0.0/15"},
    Rule{{198, 51, 100}, 24, Zone::Never, "198.51.100.0/24"},
    Rule{{203, 0, 113}, 24, Zone::Never, "203.0.113.0/24"},
    Rule{{224}, 4, Zone::Never, "224.0.0.0/4"},
    Rule{{255, 255, 255, 255}, 32, Zone::Never, "255.255.255.255/32"},
    Rule{{240}, 4, Zone::Never, "240.0.0.0/4"},
};

// The longest prefix first where rows overlap.
constexpr std::array kV6Rules{
    Rule{{}, 128, Zone::Never, "::/128"},
    Rule{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, Zone::Private, "::1/128"},
    Rule{{}, 96, Zone::Never, "::/96"},
    Rule{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, Zone::Never, "::ffff:0:0/96"},
    Rule{{0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, Zone::Never, "::ffff:0:0:0/96"},
    Rule{{0, 0x64, 0xFF, 0x9B}, 96, Zone::Never, "64:ff9b::/96"},
    Rule{{0, 0x64, 0xFF, 0x9B, 0, 1}, 48, Zone::Never, "64:ff9b:1::/48"},
    Rule{{0x01}, 64, Zone::Never, "100::/64"},
    Rule{{0x01, 0, 0, 0, 0, 0, 0, 1}, 64, Zone::Never, "100:0:0:1::/64"},
    Rule{{0x20, 0x01}, 23, Zone::Never, "2001::/23"},
    Rule{{0x20, 0x01, 0x0D, 0xB8}, 32, Zone::Never, "2001:db8::/32"},
    Rule{{0x20, 0x02}, 16, Zone::Never, "2002::/16"},
    Rule{{0x3F, 0xFF}, 20, Zone::Never, "3fff::/20"},
    Rule{{0x5F}, 16, Zone::Never, "5f00::/16"},
    // Metadata services inside the unique local range, and what else those clouds serve beside
    // them.
    Rule{{0xFD, 0x00, 0x0E, 0xC2}, 32, Zone::Never, "fd00:ec2::/32"},
    Rule{{0xFD, 0x20, 0x00, 0xCE}, 32, Zone::Never, "fd20:ce::/32"},
    Rule{{0xFD, 0x00, 0x00, 0xC1}, 32, Zone::Never, "fd00:c1::/32"},
    Rule{{0xFD, 0x00, 0x00, 0x42}, 32, Zone::Never, "fd00:42::/32"},
    Rule{{0xFD, 0x00, 0xA9, 0xFE, 0xA9, 0xFE}, 48, Zone::Never, "fd00:a9fe:a9fe::/48"},
    Rule{{0xFC}, 7, Zone::Private, "fc00::/7"},
    Rule{{0xFE, 0x80}, 10, Zone::Never, "fe80::/10"},
    Rule{{0xFE, 0xC0}, 10, Zone::Never, "fec0::/10"},
    Rule{{0xFF}, 8, Zone::Never, "ff00::/8"},
};

bool matches(const Rule& rule, const Address& address) noexcept {
  const std::size_t whole = rule.bits / 8;
  if (!std::equal(rule.prefix.begin(), rule.prefix.begin() + whole, address.bytes.begin())) {
    return false;
  }
  const unsigned rest = rule.bits % 8;
  if (rest == 0) return true;
  const unsigned difference = unsigned{rule.prefix[whole]} ^ unsigned { address.bytes[whole] };
  return difference >> (8 - rest) == 0;
}

constexpr std::array<std::size_t, 4> kEmbeddedNowhere{0, 1, 2, 3};

Address embedded(const Address& address, const std::array<std::size_t, 4>& places) noexcept {
  Address inside;
  for (std::size_t i = 0; i < places.size(); ++i) inside.bytes[i] = address.bytes[places[i]];
  return inside;
}

// Empty: none.
std::string_view metadata_at(const Address& address,
                             const std::array<std::size_t, 4>& places) noexcept {
  const Address inside = embedded(address, places);
  const auto row = std::find_if(kMetadata.begin(), kMetadata.end(), [&](const Metadata& each) {
    return std::equal(each.address.begin(), each.address.end(), inside.bytes.begin());
  });
  return row == kMetadata.end() ? std::string_view{} : row->text;
}

// RFC 5214 6.1: the interface identifier says that an IPv4 address follows.
bool is_isatap(const Address& address) noexcept {
  const auto& bytes = address.bytes;
  return (bytes[8] & 0xFDU) == 0 && bytes[9] == 0 && bytes[10] == 0x5E && bytes[11] == 0xFE;
}

Judgement judge_by(std::span<const Rule> rules, const Address& address, Judgement otherwise) {
  const auto rule = std::find_if(rules.begin(), rules.end(),
                                 [&](const Rule& row) { return matches(row, address); });
  if (rule == rules.end()) return otherwise;
  return Judgement{rule->zone, rule->text};
}

}  // namespace

Address Address::v4(const std::array<std::uint8_t, 4>& bytes) noexcept {
  Address address;
  address.family = Family::V4;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address;
}

Address Address::v6(const std::array<std::uint8_t, 16>& bytes) noexcept {
  return Address{Family::V6, bytes};
}

Judgement judge(const Address& address) noexcept {
  const Judgement open{Zone::Public, {}};
  if (address.family == Address::Family::V4) {
    const std::string_view metadata = metadata_at(address, kEmbeddedNowhere);
    if (!metadata.empty()) return Judgement{Zone::Never, metadata};
    return judge_by(kV4Rules, address, open);
  }
  for (const auto& places : kEmbedded) {
    const std::string_view metadata = metadata_at(address, places);
    if (!metadata.empty()) return Judgement{Zone::Never, metadata};
  }
  if (is_isatap(address)) {
    const Judgement inside = judge_by(kV4Rules, embedded(address, kEmbedded.front()), open);
    if (inside.zone != Zone::Public) return Judgement{Zone::Never, inside.rule};
  }
  const bool global_unicast = address.bytes[0] >> 5U == 1;
  return judge_by(kV6Rules, address,
                  global_unicast ? open : Judgement{Zone::Never, "not in 2000::/3"});
}

std::optional<Address> address_of(std::string_view host) noexcept {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (host.empty() || host.size() >= text.size()) return std::nullopt;
  std::copy(host.begin(), host.end(), text.begin());
  std::array<std::uint8_t, 4> v4{};
  if (inet_pton(AF_INET, text.data(), v4.data()) == 1) return Address::v4(v4);
  std::array<std::uint8_t, 16> v6{};
  if (inet_pton(AF_INET6, text.data(), v6.data()) == 1) return Address::v6(v6);
  return std::nullopt;
}

Judgement judge_host(std::string_view host) noexcept {
  if (host == "localhost" || host.ends_with(".localhost")) {
    return Judgement{Zone::Private, "this host"};
  }
  const std::optional<Address> address = address_of(host);
  return address ? judge(*address) : Judgement{Zone::Public, {}};
}

bool is_loopback(std::string_view host) noexcept {
  const std::string_view rule = judge_host(host).rule;
  return rule == "this host" || rule == "127.0.0.0/8" || rule == "::1/128";
}

bool EndpointGuard::allows_port(std::uint16_t port) const noexcept {
  if (port == 0) return false;
  if (config_.allow_private_addresses || port == 443 || port == 8443) return true;
  if (config_.allow_http && port == 80) return true;
  return std::find(config_.ports.begin(), config_.ports.end(), port) != config_.ports.end();
}

bool EndpointGuard::allows_zone(Zone zone) const noexcept {
  return zone == Zone::Public || (zone == Zone::Private && config_.allow_private_addresses);
}

bool EndpointGuard::allows(const Address& address) const noexcept {
  return allows_zone(judge(address).zone);
}

bool EndpointGuard::allows_host(std::string_view host) const noexcept {
  return allows_zone(judge_host(host).zone);
}

Judgement EndpointGuard::judge_answers(std::span<const Address> answers) const noexcept {
  if (answers.empty()) return Judgement{Zone::Never, "no address"};
  const auto denied = std::find_if(answers.begin(), answers.end(),
                                   [&](const Address& address) { return !allows(address); });
  return denied == answers.end() ? Judgement{Zone::Public, {}} : judge(*denied);
}

}  // namespace eventrelay
