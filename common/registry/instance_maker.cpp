#include "common/registry/instance_maker.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "common/providers/provider.hpp"

namespace eventrelay {
namespace {

// The one among `recent` that equals `value`, or a new one; it goes to the front.
template <class T>
std::shared_ptr<const T> shared(std::vector<std::shared_ptr<const T>>& recent, T&& value) {
  const auto known = std::find_if(recent.begin(), recent.end(),
                                  [&value](const auto& each) { return *each == value; });
  if (known != recent.end()) {
    std::rotate(recent.begin(), known, std::next(known));
  } else {
    if (recent.size() == kRecentMax) recent.pop_back();
    recent.insert(recent.begin(), std::make_shared<const T>(std::move(value)));
  }
  return recent.front();
}

}  // namespace

// What makes a Subscription.
struct InstanceMaker::Parts {
  std::string_view url;
  std::optional<Secret> key;
  DeliveryConfig delivery;
};

Subscription InstanceMaker::make_subscription(Parts&& parts) {
  Subscription out;
  DeliveryConfig& delivery = parts.delivery;
  CallbackUrl url = parse_callback_url(parts.url, delivery.allow_http);
  if (any_port_ == AnyPort::Yes) delivery.allow_private_addresses = true;
  check_callback_port(url, delivery.ports,
                      delivery.allow_private_addresses ? AnyPort::Yes : AnyPort::No);
  if (delivery.signature != Signature::None) {
    out.keys.reserve((parts.key ? 1U : 0U) + delivery.keys.size());
    if (parts.key) out.keys.push_back(std::move(*parts.key));
    std::move(delivery.keys.begin(), delivery.keys.end(), std::back_inserter(out.keys));
  }
  delivery.keys.clear();
  out.url = std::make_shared<const CallbackUrl>(std::move(url));
  out.delivery = shared(deliveries_, std::move(delivery));
  return out;
}

InstancePtr InstanceMaker::make(InstanceConfig&& config) {
  Instance out;
  out.id = InstanceId{config.id};
  out.name = std::move(config.name);
  out.element = std::move(config.element);
  const providers::Provider* const element = providers::find_provider(out.element);
  out.hub = element == nullptr ? "general" : std::string(element->hub);
  out.tags = std::move(config.tags);
  out.events_enabled = config.events_enabled;
  out.oauth_user_id = std::move(config.oauth_user_id);
  if (config.vendor_key) out.vendor_keys.push_back(std::move(*config.vendor_key));
  if (config.vendor_key_secondary) {
    // Each key has its header: a secondary key alone stays the secondary.
    if (out.vendor_keys.empty()) out.vendor_keys.emplace_back();
    out.vendor_keys.push_back(std::move(*config.vendor_key_secondary));
  }
  if (config.vendor_token) out.vendor_token = std::move(*config.vendor_token);
  out.disabled = config.disabled;
  out.company = config.company;
  out.account = config.account;
  out.user = config.user;
  const std::string id = std::to_string(config.id);
  out.subscriptions.reserve((config.callback_url.empty() ? 0U : 1U) + config.subscriptions.size());
  const char* key = "configuration.event.notification.callback.url";
  try {
    if (!config.callback_url.empty()) {
      out.subscriptions.push_back(make_subscription(
          {config.callback_url, std::move(config.signature_key), std::move(config.delivery)}));
      out.subscriptions.back().id = id;
      out.subscriptions.back().pause = config.callback_pause;
    }
    key = "subscriptions.url";
    for (SubscriptionConfig& each : config.subscriptions) {
      out.subscriptions.push_back(
          make_subscription({each.url, std::move(each.key), std::move(each.delivery)}));
      Subscription& made = out.subscriptions.back();
      made.id = id + "/" + each.name;
      made.name = std::move(each.name);
      made.pause = each.pause;
      if (each.filter == FilterConfig{}) continue;
      made.filter = shared(filters_, std::move(each.filter));
    }
  } catch (const std::invalid_argument& problem) {
    throw std::invalid_argument("instance " + id + ": " + key + ": " + problem.what());
  }
  return std::make_shared<const Instance>(std::move(out));
}

}  // namespace eventrelay
