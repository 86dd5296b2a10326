#include "common/config/config_control_schema.hpp"

#include <array>
#include <stdexcept>

#include "common/base/pem.hpp"
#include "common/base/seal.hpp"
#include "common/config/callback_url.hpp"
#include "common/config/config.hpp"
#include "common/config/config_fields.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_rules.hpp"

namespace eventrelay::config {

template <>
struct Words<UserRole> {
  static constexpr std::array<std::string_view, 2> kWords{"admin", "viewer"};
};

namespace {

constexpr double kNumberMax = 9007199254740991;  // what a JSON reader keeps exactly

std::string base_url_problem(std::string_view text) {
  try {
    const CallbackUrl url = parse_callback_url(text, true);
    if (url.target.find('?') != std::string::npos) return "must not have a query";
  } catch (const std::invalid_argument& problem) {
    return problem.what();
  }
  return {};
}

std::string trust_problem(std::string_view path) {
  return path.empty() ? std::string() : authorities_problem(std::string(path));
}

std::string key_id_problem(std::string_view text) {
  return is_master_key_id(text) ? std::string() : "must be 1..32 of a-z, 0-9 and -";
}

template <auto Member>
Row number_row(std::string_view sentence) {
  return field<Member>({.key = "id",
                        .kind = Kind::Number,
                        .sentence = sentence,
                        .low = 1,
                        .high = kNumberMax,
                        .shown_default = "none"});
}

template <auto Member>
Row text_row(std::string_view key, std::string_view sentence) {
  return field<Member>({.key = key,
                        .kind = Kind::Text,
                        .sentence = sentence,
                        .low = 0,
                        .high = 256,
                        .problem = plain_problem});
}

const Schema& user_schema() {
  static const Schema schema{{
      number_row<&UserConfig::id>("Its number, unlike that of any other user; required."),
      field<&UserConfig::secret>({.key = "secret",
                                  .kind = Kind::SecretText,
                                  .sentence = "What `Authorization: User ..` carries; required."}),
      text_row<&UserConfig::email>("email", "Shown as user.emailAddress."),
      text_row<&UserConfig::first_name>("first_name", "Shown as user.firstName."),
      text_row<&UserConfig::last_name>("last_name", "Shown as user.lastName."),
      field<&UserConfig::role>({.key = "role",
                                .kind = Kind::Word,
                                .sentence = "A viewer may only read.",
                                .words = Words<UserRole>::kWords}),
  }};
  return schema;
}

const Schema& account_schema() {
  static const Schema schema{{
      number_row<&AccountConfig::id>("Its number, unlike that of any other account; required."),
      text_row<&AccountConfig::name>("name", "For people."),
      list<&AccountConfig::users>({.key = "users",
                                   .sentence = "Who sees the instances of this account.",
                                   .low = 0,
                                   .high = 1000},
                                  user_schema),
  }};
  return schema;
}

const Schema& organization_schema() {
  static const Schema schema{{
      number_row<&OrganizationConfig::id>("Its number, unlike that of any other; required."),
      text_row<&OrganizationConfig::name>("name", "For people."),
      field<&OrganizationConfig::secret>(
          {.key = "secret",
           .kind = Kind::SecretText,
           .sentence = "What `Authorization: .., Organization ..` carries; required."}),
      list<&OrganizationConfig::accounts>(
          {.key = "accounts", .sentence = "Its accounts.", .low = 0, .high = 1000}, account_schema),
  }};
  return schema;
}

const Schema& master_key_schema() {
  static const Schema schema{{
      field<&MasterKeyConfig::id>({.key = "id",
                                   .kind = Kind::Text,
                                   .sentence = "Stored beside what the key has sealed.",
                                   .low = 1,
                                   .high = 32,
                                   .rule = "of a-z, 0-9 and -",
                                   .problem = key_id_problem}),
      field<&MasterKeyConfig::key>(
          {.key = "key",
           .kind = Kind::SecretText,
           .sentence = "32 bytes in base64; `eventrelay keygen seal` makes one."}),
  }};
  return schema;
}

template <auto Member>
Row url_row(std::string_view key, std::string_view sentence) {
  return field<Member>({.key = key,
                        .kind = Kind::Text,
                        .sentence = sentence,
                        .low = 1,
                        .high = kUrlMax,
                        .rule = "an http or https URL without a query",
                        .problem = base_url_problem});
}

const Schema& box_schema() {
  static const Schema schema{{
      url_row<&BoxProviderConfig::authorize_url>("authorize_url", "Where a user grants access."),
      url_row<&BoxProviderConfig::token_url>("token_url", "Where codes become tokens."),
      url_row<&BoxProviderConfig::revoke_url>("revoke_url", "Where tokens are given back."),
      url_row<&BoxProviderConfig::api_url>("api_url", "The API itself."),
      field<&BoxProviderConfig::timeout>({.key = "timeout",
                                          .kind = Kind::Duration,
                                          .sentence =
                                              "One request, from the look-up of the name to "
                                              "the last byte.",
                                          .low = 100,
                                          .high = 60'000}),
      field<&BoxProviderConfig::ca_file>({.key = "ca_file",
                                          .kind = Kind::Text,
                                          .sentence = "PEM file with the authorities to trust.",
                                          .low = 0,
                                          .high = 4096,
                                          .problem = trust_problem}),
  }};
  return schema;
}

}  // namespace

std::string origin_problem(std::string_view text) {
  if (text.empty()) return {};
  try {
    const CallbackUrl url = parse_callback_url(text, true);
    if (url.target != "/" || text.ends_with('/')) {
      return "must be scheme, host and port only, such as https://hooks.example.com";
    }
  } catch (const std::invalid_argument& problem) {
    return problem.what();
  }
  return {};
}

const Schema& control_schema() {
  static const Schema schema{{
      field<&ControlConfig::enabled>({.key = "enabled",
                                      .kind = Kind::Boolean,
                                      .sentence = "Serve the control API on the admin listener.",
                                      .effect = Effect::Restart}),
      list<&ControlConfig::organizations>({.key = "organizations",
                                           .sentence = "Who may call the control API.",
                                           .low = 0,
                                           .high = 100},
                                          organization_schema),
      field<&ControlConfig::auth_failures_per_minute>(
          {.key = "auth_failures_per_minute",
           .kind = Kind::Number,
           .sentence = "Failed authorizations from one address before it is answered 429; 0 is no "
                       "limit.",
           .low = 0,
           .high = 1'000'000}),
      object<&ControlConfig::delivery_defaults>(
          {.key = "delivery_defaults",
           .sentence = "Under what a caller of the control API sends; what widens the network is "
                       "allowed here only."},
          delivery_schema),
  }};
  return schema;
}

const Schema& seal_schema() {
  static const Schema schema{{
      list<&SealConfig::keys>({.key = "keys",
                               .sentence = "Master keys: the first seals, all open.",
                               .low = 0,
                               .high = static_cast<double>(kMasterKeysMax)},
                              master_key_schema),
  }};
  return schema;
}

const Schema& providers_schema() {
  static const Schema schema{{
      object<&ProvidersConfig::box>({.key = "box", .sentence = "Box."}, box_schema),
  }};
  return schema;
}

}  // namespace eventrelay::config
