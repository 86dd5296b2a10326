#include "common/registry/registry.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/providers/provider.hpp"

namespace eventrelay {
namespace {

// What makes a Subscription. Thread: one owner.  Bounds: references for one call.
struct SubscriptionOrigin {
  const std::string& url;
  const std::optional<Secret>& key;
  const DeliveryConfig& delivery;
  AnyPort any_port;
};

Subscription make_subscription(const SubscriptionOrigin& origin) {
  Subscription out;
  out.url = parse_callback_url(origin.url, origin.delivery.allow_http);
  out.delivery = origin.delivery;
  if (origin.any_port == AnyPort::Yes) out.delivery.allow_private_addresses = true;
  check_callback_port(out.url, out.delivery.ports,
                      out.delivery.allow_private_addresses ? AnyPort::Yes : AnyPort::No);
  if (out.delivery.signature != Signature::None) {
    if (origin.key) out.keys.push_back(*origin.key);
    out.keys.insert(out.keys.end(), out.delivery.keys.begin(), out.delivery.keys.end());
  }
  out.delivery.keys.clear();
  return out;
}

Instance make_instance(const InstanceConfig& config, AnyPort any_port) {
  Instance out;
  out.id = InstanceId{config.id};
  out.name = config.name;
  out.element = config.element;
  const providers::Provider* const element = providers::find_provider(config.element);
  out.hub = element == nullptr ? "general" : std::string(element->hub);
  out.tags = config.tags;
  out.events_enabled = config.events_enabled;
  out.oauth_user_id = config.oauth_user_id;
  if (config.vendor_key) out.vendor_keys.push_back(*config.vendor_key);
  if (config.vendor_key_secondary) {
    // Slots: a secondary key alone stays the secondary.
    if (out.vendor_keys.empty()) out.vendor_keys.emplace_back();
    out.vendor_keys.push_back(*config.vendor_key_secondary);
  }
  if (config.vendor_token) out.vendor_token = *config.vendor_token;
  out.disabled = config.disabled;
  out.company = config.company;
  out.account = config.account;
  out.user = config.user;
  const std::string id = std::to_string(config.id);
  const char* key = "configuration.event.notification.callback.url";
  try {
    if (!config.callback_url.empty()) {
      out.subscriptions.push_back(make_subscription(
          {config.callback_url, config.signature_key, config.delivery, any_port}));
      out.subscriptions.back().id = id;
    }
    key = "subscriptions.url";
    for (const SubscriptionConfig& each : config.subscriptions) {
      out.subscriptions.push_back(make_subscription({each.url, each.key, each.delivery, any_port}));
      Subscription& made = out.subscriptions.back();
      made.id = id + "/" + each.name;
      made.name = each.name;
      made.filter = each.filter;
    }
  } catch (const std::invalid_argument& problem) {
    throw std::invalid_argument("instance " + id + ": " + key + ": " + problem.what());
  }
  return out;
}

bool among(const std::vector<std::string>& words, std::string_view word) {
  return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool Subscription::wants(std::string_view event_type, std::string_view object_type) const {
  return among(filter.event_types, event_type) && among(filter.object_types, object_type);
}

Registry::Registry(const Config& config) {
  const AnyPort any_port = config.relay.allow_private_addresses ? AnyPort::Yes : AnyPort::No;
  instances_.reserve(config.instances.size());
  by_id_.reserve(config.instances.size());
  for (const InstanceConfig& each : config.instances) {
    instances_.push_back(std::make_unique<const Instance>(make_instance(each, any_port)));
    const Instance* const made = instances_.back().get();
    if (!by_id_.emplace(made->id, made).second) {
      throw std::invalid_argument("instance " + std::to_string(each.id) + ": id: given twice");
    }
    if (!made->oauth_user_id.empty()) {
      by_user_[UserKey{made->element, made->oauth_user_id}].push_back(made);
    }
  }
  for (const auto& [element, source] : config.sources) {
    SourceConfig& made = sources_.emplace(element, source).first->second;
    const providers::Provider* const built_in = providers::find_provider(element);
    if (made.scheme.empty() && built_in != nullptr) made.scheme = built_in->schemes.front();
  }
  if (config.registry != "topic") return;
  // Each element is a source even where `sources` does not name it: the keys are the instance's.
  for (const providers::Provider& each : providers::providers()) {
    if (each.schemes.front().empty()) continue;
    SourceConfig& made = sources_[std::string(each.key)];
    if (made.scheme.empty()) made.scheme = each.schemes.front();
  }
}

const Instance* Registry::find(InstanceId id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::span<const Instance* const> Registry::by_user(std::string_view element,
                                                   std::string_view user) const noexcept {
  const auto found = by_user_.find(UserKey{element, user});
  if (found == by_user_.end()) return {};
  return found->second;
}

const SourceConfig* Registry::source(std::string_view element) const noexcept {
  const auto found = sources_.find(element);
  return found == sources_.end() ? nullptr : &found->second;
}

}  // namespace eventrelay
