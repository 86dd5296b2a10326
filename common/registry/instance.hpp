// One element instance with its subscriptions: immutable values that a file or a document made.
//
// Why:     services look at an instance for each event and never change one; a change is a new
//          value in its place, so a reader of the old one may go on.
// Owner:   the registries it stands in, and the code that works on an event of it.
// Thread:  any; read only.
// Bounds:  101 subscriptions; what many instances say alike (delivery, filter) they share, so an
//          instance with one subscription needs about 1 KiB.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/config/callback_url.hpp"
#include "common/config/config.hpp"

namespace eventrelay {

// What a subscription without a word of its own has.
[[nodiscard]] const std::shared_ptr<const DeliveryConfig>& default_delivery();

// Where the events of one instance go, and how.
struct Subscription {
  // What a delivery needs comes first, so that it lies together: see Instance.
  std::shared_ptr<const FilterConfig> filter;  // null: all events pass
  // Never null; its keys are in `keys`, and relay.allow_private_addresses is merged in.
  std::shared_ptr<const DeliveryConfig> delivery = default_delivery();
  std::shared_ptr<const CallbackUrl> url;  // not null once made
  std::vector<Secret> keys;                // live signature keys, newest first; empty: unsigned
  std::string id;    // `<instance>` for the callback, `<instance>/<name>` for the others
  std::string name;  // empty for the callback
  PauseSetting pause;

  // May this event type and object type pass the filter?
  [[nodiscard]] bool wants(std::string_view event_type, std::string_view object_type) const;
};

// One element instance. Bounds: 101 subscriptions.
struct Instance {
  // What a delivery needs comes first: an instance among many is read from memory for each event,
  // and every line of the cache that it does without is a tenth of a microsecond less.
  InstanceId id;
  bool events_enabled = false;
  bool disabled = false;  // its events wait in the log
  std::vector<Subscription> subscriptions;
  std::string name;
  std::string element;
  std::string hub;            // hub key of the element, `documents` for box
  std::uint64_t company = 0;  // ids of control.organizations; 0: of a file
  std::uint64_t account = 0;
  std::uint64_t user = 0;
  std::string oauth_user_id;
  std::vector<Secret> vendor_keys;  // the provider's, on its own URL; empty: the source's count
  Secret vendor_token;              // V1, on its own URL; empty: the source's counts
  std::vector<std::string> tags;
};

// Null only where a comment says so.
using InstancePtr = std::shared_ptr<const Instance>;

// Path of the URL at which ingest takes its events: `<base_path>/events/<element>/<coded id>`.
[[nodiscard]] std::string event_path(std::string_view base_path, const Instance& instance);

// Do two say the same, whether or not they share their parts? O(size), no allocation.
[[nodiscard]] bool same(const Subscription& a, const Subscription& b);
[[nodiscard]] bool same(const Instance& a, const Instance& b);

}  // namespace eventrelay
