#include "common/config/endpoint_guard.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "common/config/callback_url.hpp"

namespace eventrelay {
namespace {

constexpr Zone kPublic = Zone::Public;
constexpr Zone kPrivate = Zone::Private;
constexpr Zone kNever = Zone::Never;

std::size_t bits_of(const Address& address) {
  return address.family == Address::Family::V4 ? 32 : 128;
}

// The first or last address of a prefix, made bit by bit.
Address edge(Address address, std::size_t prefix_bits, bool last) {
  for (std::size_t bit = prefix_bits; bit < bits_of(address); ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
    std::uint8_t& byte = address.bytes[bit / 8];
    byte = static_cast<std::uint8_t>(last ? byte | mask : byte & ~unsigned{mask});
  }
  return address;
}

// The address below or above; none beyond the ends of the family.
std::optional<Address> neighbour(Address address, bool above) {
  for (std::size_t i = bits_of(address) / 8; i-- > 0;) {
    std::uint8_t& byte = address.bytes[i];
    byte = static_cast<std::uint8_t>(above ? byte + 1 : byte - 1);
    if (byte != (above ? 0x00 : 0xFF)) return address;
  }
  return std::nullopt;
}

struct Row {
  const char* prefix;
  Zone inside;
  Zone before;
  Zone after;
};

// Every prefix that is denied: its first and last address, and the addresses next to it.
constexpr Row kRows[] = {
    {"0.0.0.0/8", kNever, kPublic, kPublic},
    {"10.0.0.0/8", kPrivate, kPublic, kPublic},
    {"100.64.0.0/10", kPrivate, kPublic, kPublic},
    {"127.0.0.0/8", kPrivate, kPublic, kPublic},
    {"168.63.129.16/32", kNever, kPublic, kPublic},
    {"169.254.0.0/16", kNever, kPublic, kPublic},
    {"172.16.0.0/12", kPrivate, kPublic, kPublic},
    {"192.0.0.0/24", kNever, kPublic, kPublic},
    {"192.0.2.0/24", kNever, kPublic, kPublic},
    {"192.88.99.0/24", kNever, kPublic, kPublic},
    {"192.168.0.0/16", kPrivate, kPublic, kPublic},
    {"198.18.0.0/15", kNever, kPublic, kPublic},
    {"198.51.100.0/24", kNever, kPublic, kPublic},
    {"203.0.113.0/24", kNever, kPublic, kPublic},
    {"224.0.0.0/4", kNever, kPublic, kNever},
    {"240.0.0.0/4", kNever, kNever, kPublic},
    {"255.255.255.255/32", kNever, kNever, kPublic},
    {"::/128", kNever, kPublic, kPrivate},
    {"::1/128", kPrivate, kNever, kNever},
    {"::2/127", kNever, kPrivate, kNever},
    {"::ffff:0:0/96", kNever, kNever, kNever},
    {"::ffff:0:0:0/96", kNever, kNever, kNever},
    {"64:ff9b::/96", kNever, kNever, kNever},
    {"64:ff9b:1::/48", kNever, kNever, kNever},
    {"100::/64", kNever, kNever, kNever},
    {"100:0:0:1::/64", kNever, kNever, kNever},
    {"2001::/23", kNever, kPublic, kPublic},
    {"2001::/32", kNever, kPublic, kNever},
    {"2001:2::/48", kNever, kNever, kNever},
    {"2001:10::/28", kNever, kNever, kNever},
    {"2001:20::/28", kNever, kNever, kNever},
    {"2001:db8::/32", kNever, kPublic, kPublic},
    {"2002::/16", kNever, kPublic, kPublic},
    {"3fff::/20", kNever, kPublic, kPublic},
    {"4000::/3", kNever, kPublic, kNever},
    {"5f00::/16", kNever, kNever, kNever},
    {"fc00::/7", kPrivate, kNever, kNever},
    {"100.100.100.200/32", kNever, kPrivate, kPrivate},
    {"fd00:ec2::/32", kNever, kPrivate, kPrivate},
    {"fd20:ce::/32", kNever, kPrivate, kPrivate},
    {"fd00:c1::/32", kNever, kPrivate, kPrivate},
    {"fd00:42::/32", kNever, kPrivate, kPrivate},
    {"fd00:a9fe:a9fe::/48", kNever, kPrivate, kPrivate},
    {"fe80::/10", kNever, kNever, kNever},
    {"fec0::/10", kNever, kNever, kNever},
    {"ff00::/8", kNever, kNever, kPublic},
};
// Rows of four addresses each.
static_assert(std::size(kRows) * 4 >= 160);

TEST(EndpointGuard, JudgesTheEdgesOfEveryPrefix) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.prefix);
    const std::string text = row.prefix;
    const std::size_t slash = text.find('/');
    const std::optional<Address> base = address_of(text.substr(0, slash));
    ASSERT_TRUE(base.has_value());
    const std::size_t bits = std::stoul(text.substr(slash + 1));
    const Address first = edge(*base, bits, false);
    const Address last = edge(*base, bits, true);
    EXPECT_EQ(judge(first).zone, row.inside);
    EXPECT_EQ(judge(last).zone, row.inside);
    EXPECT_FALSE(judge(first).rule.empty());
    if (const auto before = neighbour(first, false)) {
      EXPECT_EQ(judge(*before).zone, row.before);
    }
    if (const auto after = neighbour(last, true)) {
      EXPECT_EQ(judge(*after).zone, row.after);
    }
  }
}

TEST(EndpointGuard, NeverAllowsTheMetadataServiceOfACloud) {
  const EndpointGuard guard(GuardConfig{true, true, {80}});
  for (const char* text :
       {"169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42", "169.254.0.23",
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23",
        "fd00:ec2::253", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1",
        "fe80::a9fe:a9fe",
        // mapped, compatible, translated, 6to4, Teredo, ISATAP
        "::ffff:100.100.100.200", "::100.100.100.200", "::ffff:0:100.100.100.200",
        "64:ff9b::6464:64c8", "64:ff9b:1::a9fe:a9fe", "2002:6464:64c8::1", "2002:a83f:8110::",
        "2001:0:6464:64c8::", "2a00:1450::5efe:6464:64c8", "2a00:1450::200:5efe:a9fe:a9fe",
        // inside a translator's own prefix: /96, /64, /56, /48, /40, /32
        "fd12:3456::6464:64c8", "fd12:3456::a9fe:a9fe", "2a00:1450:1:2::a83f:8110",
        "fd12:3456:0:1:64:6464:c800:0", "fd12:3456:0:64:64:64c8::", "fd12:3456:1:6464:64:c800::",
        "fd12:3456:164:6464:c8::", "fd12:3456:6464:64c8::"}) {
    EXPECT_EQ(judge(*address_of(text)).zone, kNever) << text;
    EXPECT_FALSE(guard.allows(*address_of(text))) << text;
  }
  for (const char* text : {"100.100.100.199", "fd12:3456::6464:64c9", "10.0.0.1", "fd12:3456::1",
                           "2a00:1450::5efe:0808:0808", "168.63.129.17"}) {
    EXPECT_TRUE(guard.allows(*address_of(text))) << text;
  }
}

TEST(EndpointGuard, NeverAllowsAnInnerAddressBehindIsatap) {
  EXPECT_EQ(judge(*address_of("2a00:1450::5efe:10.0.0.1")).zone, kNever);
  EXPECT_EQ(judge(*address_of("2a00:1450::200:5efe:127.0.0.1")).zone, kNever);
}

TEST(EndpointGuard, LeavesPublicAddressesAlone) {
  for (const char* text : {"1.1.1.1",
                           "8.8.8.8",
                           "9.9.9.9",
                           "52.95.110.1",
                           "168.63.129.15",
                           "172.15.255.255",
                           "172.32.0.1",
                           "192.0.1.1",
                           "193.0.0.1",
                           "198.17.0.1",
                           "223.255.255.254",
                           "2001:4860:4860::8888",
                           "2606:4700:4700::1111",
                           "2a00:1450::1",
                           "2400::1",
                           "2600::1",
                           "2001:200::1",
                           "2003::1",
                           "2620:fe::fe",
                           "3ffe::1"}) {
    const Judgement judgement = judge(*address_of(text));
    EXPECT_EQ(judgement.zone, kPublic) << text;
    EXPECT_TRUE(judgement.rule.empty()) << text;
  }
}

TEST(EndpointGuard, DeniesEveryWayToWriteAnIpv4AddressAsIpv6) {
  for (const char* text :
       {"::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "::ffff:169.254.169.254", "::ffff:127.0.0.1",
        "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
        "2002:7f00:1::", "2002:808:808::", "2001:0:808:808::"}) {
    EXPECT_EQ(judge(*address_of(text)).zone, kNever) << text;
  }
}

TEST(EndpointGuard, NamesTheRuleThatDenied) {
  EXPECT_EQ(judge(*address_of("10.1.2.3")).rule, "10.0.0.0/8");
  EXPECT_EQ(judge(*address_of("169.254.1.1")).rule, "169.254.0.0/16");
  EXPECT_EQ(judge(*address_of("169.254.169.254")).rule, "metadata 169.254.169.254");
  EXPECT_EQ(judge(*address_of("1234::1")).rule, "not in 2000::/3");
}

// What a callback's host may look like. Refused, or the zone of the address that it is.
struct Spelling {
  const char* host;
  std::optional<Zone> zone;  // no zone: the URL is refused, or the host is a name
  bool refused;
};
constexpr Spelling kSpellings[] = {
    {"127.0.0.1", kPrivate, false},
    {"10.0.0.1", kPrivate, false},
    {"169.254.169.254", kNever, false},
    {"8.8.8.8", kPublic, false},
    {"0.0.0.0", kNever, false},
    {"[::1]", kPrivate, false},
    {"[::]", kNever, false},
    {"[::ffff:127.0.0.1]", kNever, false},
    {"[::ffff:7f00:1]", kNever, false},
    {"[0:0:0:0:0:ffff:7f00:0001]", kNever, false},
    {"[::FFFF:A9FE:A9FE]", kNever, false},
    {"[fd00:ec2::254]", kNever, false},
    {"[2606:4700::1111]", kPublic, false},
    {"127.1", std::nullopt, true},
    {"127.0.1", std::nullopt, true},
    {"2130706433", std::nullopt, true},
    {"0x7f000001", std::nullopt, true},
    {"0x7f.0.0.1", std::nullopt, true},
    {"0177.0.0.1", std::nullopt, true},
    {"017700000001", std::nullopt, true},
    {"127.0.0.1.", std::nullopt, true},
    {"1.2.3.4.5", std::nullopt, true},
    {"256.0.0.1", std::nullopt, true},
    {"[fe80::1%25eth0]", std::nullopt, true},
    {"[::1", std::nullopt, true},
    {"::1", std::nullopt, true},
    {"[127.0.0.1]", std::nullopt, true},
    {"user@example.com", std::nullopt, true},
    {"user:pw@example.com", std::nullopt, true},
    {"example.com#", std::nullopt, true},
    {"exa mple.com", std::nullopt, true},
    {"ex\xC3\xA4mple.com", std::nullopt, true},
    {"example..com", std::nullopt, true},
    {"%31%32%37.0.0.1", std::nullopt, true},
    {"", std::nullopt, true},
    {"example.com", std::nullopt, false},
    {"EXAMPLE.com", std::nullopt, false},
    {"example.com.", std::nullopt, false},
    {"xn--exmple-cua.com", std::nullopt, false},
};

TEST(EndpointGuard, SeesThroughTheSpellingsOfAHost) {
  for (const Spelling& row : kSpellings) {
    SCOPED_TRACE(row.host);
    const std::string text = std::string("https://") + row.host + "/events";
    if (row.refused) {
      EXPECT_THROW((void)parse_callback_url(text, false), std::invalid_argument);
      continue;
    }
    const CallbackUrl url = parse_callback_url(text, false);
    const std::optional<Address> address = address_of(url.host);
    ASSERT_EQ(address.has_value(), row.zone.has_value()) << url.host;
    if (address) {
      EXPECT_EQ(judge(*address).zone, *row.zone);
    }
  }
}

TEST(EndpointGuard, DeniesAMixedAnswerWhole) {
  const EndpointGuard guard(GuardConfig{});
  const Address open = *address_of("8.8.8.8");
  const Address inside = *address_of("10.0.0.1");
  const std::array<Address, 2> clean{open, *address_of("2606:4700::1111")};
  EXPECT_EQ(guard.judge_answers(clean).zone, kPublic);
  const std::array<Address, 2> mixed{open, inside};
  EXPECT_EQ(guard.judge_answers(mixed).rule, "10.0.0.0/8");
  const std::array<Address, 2> turned{inside, open};
  EXPECT_EQ(guard.judge_answers(turned).zone, kPrivate);
  EXPECT_EQ(guard.judge_answers({}).zone, kNever);
}

TEST(EndpointGuard, LetsPrivateAddressesThroughOnlyWhenConfigured) {
  const EndpointGuard strict(GuardConfig{});
  const EndpointGuard relaxed(GuardConfig{.allow_private_addresses = true});
  for (const char* text : {"127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd12::1"}) {
    EXPECT_FALSE(strict.allows(*address_of(text))) << text;
    EXPECT_TRUE(relaxed.allows(*address_of(text))) << text;
  }
  for (const char* text : {"169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "fe80::1",
                           "::ffff:127.0.0.1", "168.63.129.16"}) {
    EXPECT_FALSE(relaxed.allows(*address_of(text))) << text;
  }
}

TEST(EndpointGuard, KeepsToItsPorts) {
  const EndpointGuard strict(GuardConfig{.ports = {9443}});
  for (const auto port : std::initializer_list<std::uint16_t>{443, 8443, 9443})
    EXPECT_TRUE(strict.allows_port(port)) << port;
  for (const auto port :
       std::initializer_list<std::uint16_t>{0, 22, 25, 80, 6379, 8080, 9092, 65535}) {
    EXPECT_FALSE(strict.allows_port(port)) << port;
  }
  EXPECT_TRUE(EndpointGuard(GuardConfig{.allow_http = true}).allows_port(80));
  const EndpointGuard relaxed(GuardConfig{.allow_private_addresses = true});
  EXPECT_TRUE(relaxed.allows_port(18080));
  EXPECT_FALSE(relaxed.allows_port(0));
}

// What can be said of a URL at the call that brings it, before any name is resolved.
TEST(EndpointGuard, JudgesAHostBeforeItIsResolved) {
  const EndpointGuard strict(GuardConfig{});
  const EndpointGuard relaxed(GuardConfig{.allow_private_addresses = true});
  for (const char* host : {"127.0.0.1", "10.0.0.1", "::1", "fd12::1", "localhost", "a.localhost"}) {
    EXPECT_FALSE(strict.allows_host(host)) << host;
    EXPECT_TRUE(relaxed.allows_host(host)) << host;
  }
  for (const char* host : {"169.254.169.254", "::ffff:127.0.0.1", "fd00:ec2::254", "0.0.0.0"}) {
    EXPECT_FALSE(strict.allows_host(host)) << host;
    EXPECT_FALSE(relaxed.allows_host(host)) << host;
  }
  for (const char* host : {"8.8.8.8", "2606:4700::1111", "example.com", "localhost.example.com"}) {
    EXPECT_TRUE(strict.allows_host(host)) << host;
  }
}

TEST(EndpointGuard, KnowsItsOwnHost) {
  for (const char* host : {"localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"10.0.0.1", "example.com", "0.0.0.0", "::", "localhost.example.com"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

struct Destination {
  const char* url;
  bool passes;       // for a stranger
  bool passes_open;  // where private addresses are allowed
};

TEST(EndpointGuard, RefusesADestinationByPortAndAddress) {
  constexpr Destination kDestinations[] = {
      {"https://example.com/", true, true},        {"https://example.com:8443/", true, true},
      {"https://example.com:9443/", true, true},  // among the extra ports
      {"http://example.com/", true, true},         {"https://example.com:80/", false, true},
      {"http://example.com:22/", false, true},     {"https://10.1.2.3/", false, true},
      {"https://10.1.2.3:9443/", false, true},     {"https://[::1]/", false, true},
      {"https://LOCALHOST/", false, true},         {"https://169.254.169.254/", false, false},
      {"http://[::ffff:10.0.0.1]/", false, false},
  };
  constexpr std::array<std::uint16_t, 1> kExtra{9443};
  for (const Destination& row : kDestinations) {
    SCOPED_TRACE(row.url);
    const CallbackUrl url = parse_callback_url(row.url, true);
    const auto passes = [&](AnyPort any) {
      try {
        check_destination(url, kExtra, any);
        return true;
      } catch (const std::invalid_argument& problem) {
        EXPECT_EQ(std::string(problem.what()).find("example.com"), std::string::npos);
        return false;
      }
    };
    EXPECT_EQ(passes(AnyPort::No), row.passes);
    EXPECT_EQ(passes(AnyPort::Yes), row.passes_open);
  }
}

}  // namespace
}  // namespace eventrelay
