#include "ingest/control/box_notices.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <exception>
#include <utility>

#include "common/kafka/tools/topic_reader.hpp"
#include "common/observe/log.hpp"
#include "ingest/control/json_members.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

constexpr std::string_view kDeleted = "WEBHOOK.DELETED";
constexpr std::string_view kNoSession = "NO_ACTIVE_SESSION";
constexpr std::chrono::milliseconds kPoll{200};
constexpr std::chrono::seconds kAgain{5};
constexpr std::chrono::hours kLookBack{1};

std::string inner_text(const json::object& object, const char* section, const char* name) {
  const json::value* const value = object.if_contains(section);
  return value != nullptr && value->is_object() ? text_member(value->get_object(), name)
                                                : std::string();
}

}  // namespace

std::optional<BoxNotice> notice_of(std::string_view key, std::string_view body) {
  const bool deleted = body.find(kDeleted) != std::string_view::npos;
  if (!deleted && body.find(kNoSession) == std::string_view::npos) return std::nullopt;
  const std::optional<std::uint64_t> instance = instance_of(key);
  boost::system::error_code error;
  const json::value parsed = json::parse({body.data(), body.size()}, error);
  if (!instance || error.failed() || !parsed.is_object()) return std::nullopt;
  const json::object& event = parsed.get_object();
  const std::string trigger = text_member(event, "trigger");
  if (trigger != kDeleted && trigger != kNoSession) return std::nullopt;
  BoxNotice out;
  out.instance = *instance;
  out.webhook = inner_text(event, "webhook", "id");
  out.state = trigger == kDeleted ? WebhookState::Deleted : WebhookState::NoSession;
  out.reason = inner_text(event, "additional_info", "reason").substr(0, 200);
  if (out.reason.empty()) out.reason = trigger == kDeleted ? "deleted by Box" : "no active session";
  if (out.webhook.empty() || out.webhook.size() > 20) return std::nullopt;
  return out;
}

BoxNotices::BoxNotices(KafkaConfig kafka, std::string topic, OnNotice on_notice)
    : kafka_(std::move(kafka)),
      topic_(std::move(topic)),
      on_notice_(std::move(on_notice)),
      thread_([this] { run(); }) {}

BoxNotices::~BoxNotices() {
  stop();
}

void BoxNotices::run() {
  while (!stopping_) {
    try {
      read();
    } catch (const std::exception& error) {
      log::warn("events of the topic can not be read now for notices of Box",
                {{"topic", topic_}, {"error", error.what()}});
      std::unique_lock lock(mutex_);
      stopped_.wait_for(lock, kAgain, [this] { return stopping_.load(); });
    }
  }
}

void BoxNotices::read() {
  kafka::TopicReader reader(kafka_, topic_, wall_now() - kLookBack);
  while (!stopping_) {
    const std::optional<kafka::Message> message = reader.next(kPoll);
    if (!message) continue;
    if (std::optional<BoxNotice> notice = notice_of(message->key(), message->value())) {
      on_notice_(*std::move(notice));
    }
  }
}

void BoxNotices::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace eventrelay::control
