// Watches the events for what Box tells of its own webhooks: WEBHOOK.DELETED and NO_ACTIVE_SESSION.
//
// Why:     any replica may have taken such an event; the state of the webhook is changed by the one
//          process that writes the registry.
// Owner:   Control.  Thread: one of its own; notices come on it.
// Bounds:  reads every event once, and looks into those that name such a trigger only.
// Errors:  what can not be read now is tried again; it begins again an hour back.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/config/config.hpp"
#include "common/registry/document.hpp"

namespace eventrelay::control {

struct BoxNotice {
  std::uint64_t instance = 0;
  std::string webhook;
  WebhookState state = WebhookState::Deleted;
  std::string reason;
};

// What the record of an event tells of a webhook; nothing for any other event. Pure.
[[nodiscard]] std::optional<BoxNotice> notice_of(std::string_view key, std::string_view body);

// Thread: see above.
class BoxNotices {
 public:
  using OnNotice = std::function<void(BoxNotice)>;

  BoxNotices(KafkaConfig kafka, std::string topic, OnNotice on_notice);
  BoxNotices(const BoxNotices&) = delete;
  BoxNotices& operator=(const BoxNotices&) = delete;
  ~BoxNotices();

  void stop();

 private:
  void run();
  void read();

  KafkaConfig kafka_;
  std::string topic_;
  OnNotice on_notice_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable stopped_;
  std::thread thread_;
};

}  // namespace eventrelay::control
