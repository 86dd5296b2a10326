#include "common/registry/instance.hpp"

#include <algorithm>
#include <functional>

#include "common/base/crypto.hpp"

namespace eventrelay {
namespace {

bool among(const std::vector<std::string>& words, std::string_view word) {
  return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
}

bool same_url(const CallbackUrl& a, const CallbackUrl& b) {
  return a.text == b.text;  // the rest is made of it
}

// Both null, or both there and equal.
template <class T, class Equal>
bool same_shared(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b,
                 Equal equal) {
  if (a == b) return true;
  return a != nullptr && b != nullptr && equal(*a, *b);
}

}  // namespace

const std::shared_ptr<const DeliveryConfig>& default_delivery() {
  static const auto kDefault = std::make_shared<const DeliveryConfig>();
  return kDefault;
}

bool Subscription::wants(std::string_view event_type, std::string_view object_type) const {
  if (filter == nullptr) return true;
  return among(filter->event_types, event_type) && among(filter->object_types, object_type);
}

std::string event_path(std::string_view base_path, const Instance& instance) {
  return std::string(base_path) + "/events/" + instance.element + "/" +
         crypto::base64(std::to_string(instance.id.value));
}

bool same(const Subscription& a, const Subscription& b) {
  return a.id == b.id && a.name == b.name && same_shared(a.url, b.url, same_url) &&
         a.keys == b.keys && same_shared(a.filter, b.filter, std::equal_to<>()) &&
         same_shared(a.delivery, b.delivery, std::equal_to<>()) && a.pause == b.pause;
}

bool same(const Instance& a, const Instance& b) {
  return a.id == b.id && a.name == b.name && a.element == b.element && a.hub == b.hub &&
         a.tags == b.tags && a.events_enabled == b.events_enabled &&
         a.oauth_user_id == b.oauth_user_id && a.vendor_keys == b.vendor_keys &&
         a.vendor_token == b.vendor_token && a.disabled == b.disabled && a.company == b.company &&
         a.account == b.account && a.user == b.user &&
         std::equal(a.subscriptions.begin(), a.subscriptions.end(), b.subscriptions.begin(),
                    b.subscriptions.end(),
                    [](const Subscription& x, const Subscription& y) { return same(x, y); });
}

}  // namespace eventrelay
