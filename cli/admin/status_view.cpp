#include "cli/admin/status_view.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <charconv>
#include <optional>

#include "cli/records/record_view.hpp"

namespace eventrelay::cli {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr || found->is_null()) return {};
  if (const auto* text = found->if_string()) return {text->data(), text->size()};
  return json::serialize(*found);
}

std::optional<std::int64_t> number_of(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr) return std::nullopt;
  if (const auto* whole = found->if_int64()) return *whole;
  return std::nullopt;
}

std::string since(const json::object& object, std::string_view name, WallTime now) {
  const auto at = number_of(object, name);
  return at ? span_words(std::max(now - WallTime{milliseconds{*at}}, milliseconds{0})) : "?";
}

std::string indented(const std::string& line) {
  return "    " + line + "\n";
}

std::string cursor_line(const json::object& cursor, WallTime now) {
  std::string line =
      fmt::format("{} {}", text_of(cursor, "subscription"), text_of(cursor, "state"));
  if (const std::string object = text_of(cursor, "object"); !object.empty()) {
    line += " object " + object;
  }
  line += fmt::format(" for {} ({}), {} behind in partition {}, from {} at {}",
                      since(cursor, "since_ms", now), text_of(cursor, "reason"),
                      text_of(cursor, "distance"), text_of(cursor, "partition"),
                      text_of(cursor, "from"), text_of(cursor, "cursor"));
  if (const auto end = number_of(cursor, "end")) line += fmt::format(" to {}", *end);
  if (const auto attempt = number_of(cursor, "attempt"))
    line += fmt::format(", attempt {}", *attempt);
  if (const auto due = number_of(cursor, "due_ms")) {
    const milliseconds left = WallTime{milliseconds{*due}} - now;
    line += left.count() > 0 ? ", due in " + span_words(left) : std::string(", due");
  }
  return line;
}

std::string backlog_lines(const json::object& backlog, WallTime now) {
  std::string text = "  backlog:";
  const json::array* oldest = nullptr;
  for (const auto& [name, value] : backlog) {
    if (name == "oldest") {
      oldest = value.if_array();
      continue;
    }
    text += fmt::format(" {} {}", std::string_view(name), json::serialize(value));
  }
  text += "\n";
  if (oldest == nullptr) return text;
  for (const json::value& one : *oldest) {
    if (const auto* cursor = one.if_object()) text += indented(cursor_line(*cursor, now));
  }
  return text;
}

std::string partition_lines(const json::array& partitions) {
  std::string held;
  std::size_t count = 0;
  for (const json::value& one : partitions) {
    const json::object* partition = one.if_object();
    if (partition == nullptr) continue;
    const std::string why = text_of(*partition, "held_back");
    const std::string reason = text_of(*partition, "reason");
    const std::string stopped = text_of(*partition, "stopped");
    if (why.empty() && stopped.empty() && reason.empty()) continue;
    ++count;
    held += indented(
        fmt::format("partition {} {}{}{}, {} unfinished", text_of(*partition, "partition"),
                    stopped.empty() ? "held: " + why : "stopped: " + stopped,
                    reason.empty() ? "" : ", ", reason, text_of(*partition, "unfinished")));
  }
  return fmt::format("  partitions: {}, {} held or stopped\n", partitions.size(), count) + held;
}

std::string failing_lines(const json::array& failing, WallTime now) {
  std::string text = fmt::format("  failing: {}\n", failing.size());
  for (const json::value& one : failing) {
    const json::object* subscription = one.if_object();
    if (subscription == nullptr) continue;
    std::string line = fmt::format(
        "{} {}, {} waiting, {} failures, oldest {}", text_of(*subscription, "subscription"),
        text_of(*subscription, "outcome"), text_of(*subscription, "waiting"),
        text_of(*subscription, "failures"), since(*subscription, "oldest_pending_ms", now));
    if (const auto next = number_of(*subscription, "next_attempt_ms")) {
      const milliseconds left = WallTime{milliseconds{*next}} - now;
      line += ", next attempt " + (left.count() > 0 ? "in " + span_words(left) : "now");
    }
    if (const std::string reason = text_of(*subscription, "reason"); !reason.empty()) {
      line += " (" + reason + ")";
    }
    text += indented(line);
  }
  return text;
}

std::string plain_lines(const json::object& object, const std::string& indent);

std::string plain_line(std::string_view name, const json::value& value, const std::string& indent) {
  if (const auto* inner = value.if_object()) {
    return fmt::format("{}{}:\n", indent, name) + plain_lines(*inner, indent + "  ");
  }
  const json::array* list = value.if_array();
  if (list == nullptr || list->empty() || !list->front().is_object()) {
    return fmt::format("{}{}: {}\n", indent, name, json::serialize(value));
  }
  std::string text = fmt::format("{}{}:\n", indent, name);
  for (const json::value& item : *list) {
    text += indent + "  -\n";
    if (const auto* inner = item.if_object()) text += plain_lines(*inner, indent + "    ");
  }
  return text;
}

std::string plain_lines(const json::object& object, const std::string& indent) {
  std::string text;
  for (const auto& [name, value] : object) text += plain_line(name, value, indent);
  return text;
}

}  // namespace

std::string status_lines(const json::object& status, WallTime now) {
  std::string text;
  for (const auto& [name, value] : status) {
    const json::array* list = value.if_array();
    if (name == "backlog" && value.is_object()) {
      text += backlog_lines(value.get_object(), now);
    } else if (name == "partitions" && list != nullptr) {
      text += partition_lines(*list);
    } else if (name == "failing" && list != nullptr) {
      text += failing_lines(*list, now);
    } else {
      text += plain_line(name, value, "  ");
    }
  }
  return text;
}

std::string given_up_line(std::string_view page) {
  double dead = 0;
  double parked = 0;
  bool found = false;
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(page.size(), line.size() + 1));
    const bool of_dead = line.rfind("eventrelay_relay_dead_letters_total", 0) == 0;
    const bool of_parked = line.rfind("eventrelay_relay_parked_total", 0) == 0;
    const std::size_t space = line.rfind(' ');
    if ((!of_dead && !of_parked) || space == line.npos) continue;
    double value = 0;
    const auto read = std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    if (read.ec != std::errc{}) continue;
    found = true;
    (of_dead ? dead : parked) += value;
  }
  return found ? fmt::format("  since start: {} parked, {} dead letters\n", parked, dead)
               : std::string();
}

}  // namespace eventrelay::cli
