#include "common/config/config_instances_schema.hpp"

#include <array>
#include <utility>

#include "common/config/callback_url.hpp"
#include "common/config/config.hpp"
#include "common/config/config_fields.hpp"
#include "common/config/config_rules.hpp"
#include "common/config/config_units.hpp"
#include "common/providers/handshake.hpp"

namespace eventrelay::config {

template <>
struct Words<Format> {
  static constexpr std::array<std::string_view, 4> kWords{"elements", "raw", "cloudevents",
                                                          "cloudevents-binary"};
};
template <>
struct Words<Signature> {
  static constexpr std::array<std::string_view, 4> kWords{"elements", "standard",
                                                          "standard-ed25519", "none"};
};
template <>
struct Words<Ordering> {
  static constexpr std::array<std::string_view, 3> kWords{"none", "object", "instance"};
};
template <>
struct Words<Exhausted> {
  static constexpr std::array<std::string_view, 2> kWords{"dead", "queue"};
};
template <>
struct Words<FailurePolicy> {
  static constexpr std::array<std::string_view, 2> kWords{"retry", "queue"};
};

namespace {

using TextMap = std::map<std::string, std::string>;

constexpr double kIdMax = 9007199254740991;  // what a JSON reader keeps exactly

std::string header_problem(std::string_view name, std::string_view value) {
  std::string problem = header_name_problem(name);
  if (problem.empty() && value.size() > 4096) problem = "the value is over 4096 bytes";
  return problem.empty() ? header_value_problem(value) : problem;
}

void set_text(void* owner, const std::string& key, OpenValue&& value) {
  (*static_cast<TextMap*>(owner))[key] = std::move(value.text);
}

std::map<std::string, OpenValue> texts(const TextMap& map) {
  std::map<std::string, OpenValue> all;
  for (const auto& [key, value] : map) all[key] = {value, looks_secret(key)};
  return all;
}

// A header's value proves who sends, whatever its name is.
bool always_secret(std::string_view) {
  return true;
}

const Schema& headers_schema() {
  static const Schema schema{
      {},
      Open{"<name>",
           "A header of every request; Authorization is allowed, what the relay sets itself is "
           "not.",
           32, Effect::Reload, always_secret, header_problem, set_text, [](const void* owner) {
             std::map<std::string, OpenValue> all = texts(*static_cast<const TextMap*>(owner));
             for (auto& [name, value] : all) value.secret = true;
             return all;
           }}};
  return schema;
}

// Remembers that the word was given: then a missing key is an error, not a choice.
Row noting_signature(Row row) {
  row.set = [](void* owner, Value&& value) {
    DeliveryConfig& delivery = *static_cast<DeliveryConfig*>(owner);
    Convert<Signature>::in(delivery.signature, std::move(value));
    delivery.signature_given = true;
  };
  row.written = [](const void* owner) {
    return static_cast<const DeliveryConfig*>(owner)->signature_given;
  };
  return row;
}

std::vector<Row> sending_rows() {
  return {
      field<&DeliveryConfig::format>({.key = "format",
                                      .kind = Kind::Word,
                                      .sentence = "What the body looks like.",
                                      .words = Words<Format>::kWords}),
      noting_signature(field<&DeliveryConfig::signature>(
          {.key = "signature",
           .kind = Kind::Word,
           .sentence = "How a request is signed.",
           .words = Words<Signature>::kWords,
           .shown_default = "elements with a key, none without"})),
      field<&DeliveryConfig::keys>({.key = "keys",
                                    .kind = Kind::Secrets,
                                    .sentence = "Further live signature keys while rotating.",
                                    .low = 0,
                                    .high = 3}),
      field<&DeliveryConfig::ordering>(
          {.key = "ordering",
           .kind = Kind::Word,
           .sentence = "Events that must reach the subscriber one after the other.",
           .words = Words<Ordering>::kWords}),
      field<&DeliveryConfig::concurrency>({.key = "concurrency",
                                           .kind = Kind::Number,
                                           .sentence = "Requests in flight at once.",
                                           .low = 1,
                                           .high = 1024}),
      field<&DeliveryConfig::rate>({.key = "rate",
                                    .kind = Kind::Number,
                                    .sentence = "Requests per second; 0 is no limit.",
                                    .low = 0,
                                    .high = 1'000'000}),
      field<&DeliveryConfig::timeout>({.key = "timeout",
                                       .kind = Kind::Duration,
                                       .sentence = "One attempt, from connect to the last byte.",
                                       .low = 100,
                                       .high = 5 * kMinute}),
  };
}

std::vector<Row> target_rows() {
  return {
      object<&DeliveryConfig::headers>({.key = "headers", .sentence = "Further headers."},
                                       headers_schema),
      field<&DeliveryConfig::allow_private_addresses>(
          {.key = "allow_private_addresses",
           .kind = Kind::Boolean,
           .sentence = "Deliver to private and loopback addresses and to any port."}),
      field<&DeliveryConfig::allow_http>(
          {.key = "allow_http", .kind = Kind::Boolean, .sentence = "Deliver without TLS."}),
      field<&DeliveryConfig::ports>({.key = "ports",
                                     .kind = Kind::Numbers,
                                     .sentence = "Ports allowed beside 443 and 8443.",
                                     .low = 1,
                                     .high = 65535}),
      field<&DeliveryConfig::ca_file>({.key = "ca_file",
                                       .kind = Kind::Text,
                                       .sentence = "PEM file with the authorities to trust.",
                                       .low = 0,
                                       .high = 4096,
                                       .problem = file_problem}),
      field<&DeliveryConfig::client_cert>(
          {.key = "client_cert",
           .kind = Kind::Text,
           .sentence = "PEM file with a client certificate and its key.",
           .low = 0,
           .high = 4096,
           .problem = file_problem}),
  };
}

std::vector<Row> failing_rows() {
  return {
      field<&DeliveryConfig::fatal_statuses>(
          {.key = "fatal_statuses",
           .kind = Kind::Numbers,
           .sentence = "Statuses that send an event to the dead-letter topic at once.",
           .low = 300,
           .high = 599}),
      delays<&DeliveryConfig::retry_delays, &DeliveryConfig::retry_profile>(
          {.key = "retry_delays",
           .sentence = "Wait before each further attempt, or the profile ce or ce-legacy; none may "
                       "be longer than the longest of retry.delays.",
           .low = 1,
           .high = 12,
           .rule = "ascending, each 10ms..7d",
           .shown_default = "retry.delays"}),
      field<&DeliveryConfig::exhausted>(
          {.key = "exhausted",
           .kind = Kind::Word,
           .sentence = "After the last attempt of an event: dead goes on without it; queue "
                       "pauses the subscription, and its events wait.",
           .words = Words<Exhausted>::kWords}),
      field<&DeliveryConfig::failure_policy>(
          {.key = "failure_policy",
           .kind = Kind::Word,
           .sentence = "After a failed attempt: retry goes on by the schedule; queue pauses the "
                       "subscription at once, and its events wait until it is resumed.",
           .words = Words<FailurePolicy>::kWords}),
      field<&DeliveryConfig::slow_start>(
          {.key = "slow_start",
           .kind = Kind::Number,
           .sentence = "Requests per second once the endpoint answers again, doubled every 5 s "
                       "until nothing waits for it; 0 is no limit.",
           .low = 0,
           .high = 1'000'000}),
  };
}

}  // namespace

const Schema& delivery_schema() {
  static const Schema schema = [] {
    Schema all{sending_rows()};
    for (const Row& row : target_rows()) all.rows.push_back(row);
    for (const Row& row : failing_rows()) all.rows.push_back(row);
    return all;
  }();
  return schema;
}

namespace {

const Schema& filter_schema() {
  static const Schema schema{{
      field<&FilterConfig::event_types>({.key = "event_types",
                                         .kind = Kind::Texts,
                                         .sentence = "Event types to deliver; empty is all.",
                                         .low = 0,
                                         .high = 64,
                                         .problem = plain_problem}),
      field<&FilterConfig::object_types>({.key = "object_types",
                                          .kind = Kind::Texts,
                                          .sentence = "Object types to deliver; empty is all.",
                                          .low = 0,
                                          .high = 64,
                                          .problem = plain_problem}),
  }};
  return schema;
}

const Schema& subscription_schema() {
  static const Schema schema{{
      field<&SubscriptionConfig::name>({.key = "name",
                                        .kind = Kind::Text,
                                        .sentence = "Unique in its instance.",
                                        .low = 1,
                                        .high = 63,
                                        .rule = "lower-case letters, digits and -",
                                        .problem = name_problem}),
      field<&SubscriptionConfig::url>({.key = "url",
                                       .kind = Kind::Text,
                                       .sentence = "Where its events go.",
                                       .low = 1,
                                       .high = kUrlMax}),
      field<&SubscriptionConfig::key>(
          {.key = "key", .kind = Kind::SecretText, .sentence = "Its signature key."}),
      object<&SubscriptionConfig::filter>({.key = "filter", .sentence = "Which events it gets."},
                                          filter_schema),
      object<&SubscriptionConfig::delivery>({.key = "delivery", .sentence = "How they are sent."},
                                            delivery_schema),
  }};
  return schema;
}

const Schema& configuration_schema() {
  static const Schema schema{
      {
          field<&InstanceConfig::events_enabled>({.key = "event.notification.enabled",
                                                  .kind = Kind::WordyBoolean,
                                                  .sentence = "Take and deliver its events."}),
          field<&InstanceConfig::callback_url>({.key = "event.notification.callback.url",
                                                .kind = Kind::Text,
                                                .sentence = "Where its events go.",
                                                .low = 0,
                                                .high = kUrlMax}),
          field<&InstanceConfig::signature_key>({.key = "event.notification.signature.key",
                                                 .kind = Kind::SecretText,
                                                 .sentence = "Signs them; without it they are not "
                                                             "signed."}),
          field<&InstanceConfig::oauth_user_id>({.key = "oauth.user.id",
                                                 .kind = Kind::Text,
                                                 .sentence = "User at the provider; routes Box V1.",
                                                 .low = 0,
                                                 .high = 256,
                                                 .problem = plain_problem}),
          field<&InstanceConfig::vendor_key>(
              {.key = "event.vendor.signature.key",
               .kind = Kind::SecretText,
               .sentence = "The provider's signing key on this instance's own URL, instead of the "
                           "source's."}),
          field<&InstanceConfig::vendor_key_secondary>(
              {.key = "event.vendor.signature.key.secondary",
               .kind = Kind::SecretText,
               .sentence = "The second one, while keys rotate."}),
          field<&InstanceConfig::vendor_token>(
              {.key = "event.vendor.token",
               .kind = Kind::SecretText,
               .sentence =
                   "What the extra parameter `token` of a V1 webhook on this instance's own "
                   "URL must say."}),
      },
      Open{"<key>", "Any further key of the Elements API, kept as it is.", 200, Effect::Reload,
           looks_secret, nullptr,
           [](void* owner, const std::string& key, OpenValue&& value) {
             set_text(&static_cast<InstanceConfig*>(owner)->configuration, key, std::move(value));
           },
           [](const void* owner) {
             return texts(static_cast<const InstanceConfig*>(owner)->configuration);
           }}};
  return schema;
}

std::string handshake_problem(std::string_view word) {
  if (providers::handshake_named(word)) return {};
  return "is not one of none, dropbox, slack, meta, graph, cloudevents";
}

const Schema& v1_schema() {
  static const Schema schema{{
      field<&SourceConfig::v1_enabled>({.key = "enabled",
                                        .kind = Kind::Boolean,
                                        .sentence = "Take Box V1 webhooks, which are not signed."}),
      field<&SourceConfig::v1_token>(
          {.key = "token",
           .kind = Kind::SecretText,
           .sentence = "What the extra parameter `token` of a V1 webhook must say."}),
  }};
  return schema;
}

}  // namespace

Row inlined(Row row, const Schema& (*schema)()) {
  row.kind = Kind::Object;
  row.schema = schema;
  row.enter = [](void* owner, std::string_view) { return owner; };
  row.fresh = []() { return std::shared_ptr<void>{}; };
  row.visit = [](const void* owner, const Visitor& visitor) { visitor({}, owner); };
  return row;
}

const Schema& source_schema() {
  static const Schema schema{{
      field<&SourceConfig::scheme>({.key = "scheme",
                                    .kind = Kind::Text,
                                    .sentence = "Signature scheme.",
                                    .low = 1,
                                    .high = 63,
                                    .problem = name_problem,
                                    .shown_default = "the built-in one of the element"}),
      field<&SourceConfig::keys>({.key = "keys",
                                  .kind = Kind::Secrets,
                                  .sentence = "Live keys in slot order: primary, secondary.",
                                  .low = 0,
                                  .high = 3}),
      inlined({.key = "v1", .sentence = "Box webhooks V1."}, v1_schema),
      field<&SourceConfig::token>(
          {.key = "token",
           .kind = Kind::SecretText,
           .sentence = "What the provider must send back: Meta's verify token, the clientState of "
                       "Microsoft Graph."}),
      field<&SourceConfig::handshake>(
          {.key = "handshake",
           .kind = Kind::Text,
           .sentence = "How the provider asks whether the address is willing.",
           .low = 1,
           .high = 16,
           .rule = "none, dropbox, slack, meta, graph or cloudevents",
           .problem = handshake_problem,
           .shown_default = "the element's"}),
      field<&SourceConfig::chunked>({.key = "chunked",
                                     .kind = Kind::Boolean,
                                     .sentence = "As ingest.chunked, for this source.",
                                     .shown_default = "ingest.chunked"}),
      field<&SourceConfig::body_max>({.key = "body_max",
                                      .kind = Kind::Size,
                                      .sentence = "As ingest.body_max, for this source.",
                                      .low = 1024,
                                      .high = 32.0 * 1024 * 1024,
                                      .shown_default = "ingest.body_max"}),
      field<&SourceConfig::ack_timeout>({.key = "ack_timeout",
                                         .kind = Kind::Duration,
                                         .sentence = "As ingest.ack_timeout, for this source.",
                                         .low = 100,
                                         .high = 60'000,
                                         .shown_default = "ingest.ack_timeout"}),
      field<&SourceConfig::window_past>({.key = "window_past",
                                         .kind = Kind::Duration,
                                         .sentence = "How old a signed time may be.",
                                         .low = 1000,
                                         .high = kDay,
                                         .shown_default = "10m for box-v2, else the scheme's"}),
      field<&SourceConfig::window_future>({.key = "window_future",
                                           .kind = Kind::Duration,
                                           .sentence = "How far ahead a signed time may be.",
                                           .low = 0,
                                           .high = kDay,
                                           .shown_default = "1m for box-v2, else the scheme's"}),
  }};
  return schema;
}

const Schema& instance_schema() {
  static const Schema schema{{
      field<&InstanceConfig::id>({.key = "id",
                                  .kind = Kind::Number,
                                  .sentence = "Its number, unique; required.",
                                  .low = 1,
                                  .high = kIdMax,
                                  .shown_default = "none"}),
      field<&InstanceConfig::name>({.key = "name",
                                    .kind = Kind::Text,
                                    .sentence = "Shown in notifications.",
                                    .low = 0,
                                    .high = 256,
                                    .problem = plain_problem}),
      field<&InstanceConfig::element>({.key = "element",
                                       .kind = Kind::Text,
                                       .sentence = "Key of its element, e.g. box; required.",
                                       .low = 1,
                                       .high = 63,
                                       .problem = name_problem}),
      field<&InstanceConfig::tags>({.key = "tags",
                                    .kind = Kind::Texts,
                                    .sentence = "Free words.",
                                    .low = 0,
                                    .high = 100,
                                    .problem = plain_problem}),
      inlined({.key = "configuration", .sentence = "The field names of the Elements API."},
              configuration_schema),
      object<&InstanceConfig::delivery>({.key = "delivery", .sentence = "How events are sent."},
                                        delivery_schema),
      list<&InstanceConfig::subscriptions>({.key = "subscriptions",
                                            .sentence = "Further receivers beside the callback.",
                                            .low = 0,
                                            .high = 100},
                                           subscription_schema),
  }};
  return schema;
}

}  // namespace eventrelay::config
