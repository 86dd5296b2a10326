// A stand-in for Box as a state machine: requests in, answers and deliveries out.
//
// Why:     the whole tour, and every fault of the real one, must be walked without Box.
// Owner:   `eventrelay provider box`, and `dev`.  Thread: one; no sockets, no clock.
// Bounds:  1,000 webhooks per user, 10,000 items, 10,000 stream entries.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::cli {

struct BoxOptions {
  std::string client_id = "box-client-id";
  std::string client_secret = "box-client-secret";
  std::string primary = "SamplePrimaryKey";
  std::string secondary = "SampleSecondaryKey";
};

struct BoxRequest {
  std::string method;
  std::string target;  // path and query
  std::string authorization;
  std::string content_type;
  std::string body;
};

struct BoxAnswer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::chrono::milliseconds delay{0};
  bool cut = false;  // close without an answer
};

// One call of a webhook, V2 (signed, repeated) or V1 (a form, once).
struct BoxDelivery {
  std::string url;
  std::string body;
  bool v2 = true;
  unsigned attempt = 0;
};

// Thread: one owner.
class BoxWorld {
 public:
  explicit BoxWorld(BoxOptions options);

  [[nodiscard]] BoxAnswer handle(const BoxRequest& request, WallTime now);
  // What is to be sent now.
  [[nodiscard]] std::vector<BoxDelivery> take_deliveries();
  // Headers of one attempt of a V2 delivery, signed at `now`.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> delivery_headers(
      const BoxDelivery& delivery, WallTime now) const;
  // The wait before the next attempt; nothing after the last.
  [[nodiscard]] static std::optional<std::chrono::milliseconds> retry_after(unsigned attempt);
  void delivered(const BoxDelivery& delivery, int status);

 private:
  struct Code {
    std::string user;
    WallTime until{};
  };
  struct Grant {
    std::string user;
    WallTime until{};  // of the access token
  };
  struct Hook {
    std::string id;
    std::string user;
    std::string target_id;
    std::string target_type;
    std::vector<std::string> triggers;
    std::string address;
    std::string created;
  };
  struct Item {
    std::string id;
    std::string type;
    std::string name;
    std::string parent;
    std::string owner;
  };
  struct Fault {
    std::string path;
    unsigned status = 0;  // 0: close without an answer
    std::string body;
    std::string content_type = "application/json";
    std::string retry_after;
    std::chrono::milliseconds delay{0};
    std::uint64_t count = 1;
    bool after = false;  // the request takes effect, its answer is lost
    bool late = false;   // the request takes effect, its answer comes after `delay`
  };

  BoxAnswer route(const BoxRequest& request, std::string_view path, std::string_view query,
                  WallTime now);
  BoxAnswer authorize_page(std::string_view query) const;
  BoxAnswer consent(const BoxRequest& request, WallTime now);
  BoxAnswer token(const BoxRequest& request, WallTime now);
  BoxAnswer revoke(const BoxRequest& request);
  BoxAnswer webhooks(const BoxRequest& request, std::string_view path, std::string_view query,
                     const std::string& user, WallTime now);
  BoxAnswer create_hook(const BoxRequest& request, const std::string& user, WallTime now);
  BoxAnswer change_hook(const BoxRequest& request, Hook& hook);
  BoxAnswer items(const BoxRequest& request, std::string_view path, const std::string& user,
                  WallTime now);
  BoxAnswer events(std::string_view query) const;
  BoxAnswer stand_in(const BoxRequest& request, std::string_view path, WallTime now);
  BoxAnswer upload(const std::string& name, const std::string& parent, const std::string& user,
                   WallTime now);
  std::optional<std::string> user_of(const BoxRequest& request, WallTime now) const;
  BoxAnswer give_tokens(const std::string& user, WallTime now);
  void happened(const std::string& trigger, const Item& item, const std::string& user,
                WallTime now);
  void to_hook(const Hook& hook, const std::string& trigger, boost::json::object source,
               const std::string& user, WallTime now);
  [[nodiscard]] boost::json::object item_json(const Item& item, WallTime now) const;
  [[nodiscard]] static boost::json::object hook_json(const Hook& hook);

  BoxOptions options_;
  std::map<std::string, Code> codes_;
  std::map<std::string, Grant> access_;         // by access token
  std::map<std::string, std::string> refresh_;  // refresh token -> access token
  std::map<std::string, std::string> user_of_refresh_;
  std::map<std::string, Hook> hooks_;
  std::map<std::string, Item> items_;
  std::vector<boost::json::object> stream_;
  std::vector<Fault> faults_;
  std::vector<BoxDelivery> deliveries_;
  std::string v1_url_;
  std::string v1_token_;
  std::uint64_t next_id_ = 100'000;
  std::uint64_t refreshes_ = 0;
  std::uint64_t exchanges_ = 0;
  std::uint64_t revokes_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t sent_ok_ = 0;
  std::uint64_t sent_failed_ = 0;
};

}  // namespace eventrelay::cli
