#include "ingest/control/call.hpp"

#include <algorithm>
#include <charconv>

#include "common/providers/stamp.hpp"

namespace eventrelay::control {
namespace {

constexpr std::size_t kPageDefault = 200;
constexpr std::size_t kPageMax = 1000;

}  // namespace

std::optional<std::string> Call::query_value(std::string_view name) const {
  const std::optional<std::string_view> value = request->query(name);
  if (!value) return std::nullopt;
  return std::string(*value);
}

Result<std::size_t> page_size_of(const Call& call) {
  const std::optional<std::string> text = call.query_value("pageSize");
  if (!text) return kPageDefault;
  std::size_t size = 0;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), size);
  if (error != std::errc{} || stop != text->data() + text->size() || size < 1 || size > kPageMax) {
    return refuse(400, "pageSize: must be a number 1..1000");
  }
  return size;
}

Result<WallTime> moment_of(const Call& call, const char* name, WallTime otherwise) {
  const std::optional<std::string> text = call.query_value(name);
  if (!text) return otherwise;
  const auto at = providers::parse_stamp(providers::Stamp::Rfc3339, *text);
  if (!at || unix_ms(*at) < 0) {
    return refuse(400, std::string(name) + ": must be a time such as 2026-11-24T10:00:00Z");
  }
  return *at;
}

Result<std::uint64_t> instance_of_call(const Documents& documents, const Call& call) {
  const std::string_view text = call.parameter("id");
  if (text.empty()) return *call.element_instance;
  const std::string shown = std::string(text.substr(0, 40));
  const std::optional<std::uint64_t> id = eventrelay::instance_of(text);
  const StoredInstance* const stored = id ? documents.store().find(*id) : nullptr;
  const bool own = stored != nullptr && stored->account == call.caller.account->id &&
                   call.element_instance.value_or(stored->id) == stored->id;
  if (!own) return refuse(404, "there is no instance " + shown);
  return *id;
}

Result<std::vector<std::uint64_t>> asked_instances(const Documents& documents, const Call& call) {
  if (!call.parameter("id").empty() || call.element_instance) {
    const Result<std::uint64_t> id = instance_of_call(documents, call);
    if (!id) return refuse(id.error());
    return std::vector<std::uint64_t>{*id};
  }
  std::vector<std::uint64_t> out;
  for (const auto& [id, stored] : documents.store().all()) {
    if (stored.account == call.caller.account->id) out.push_back(id);
  }
  return out;
}

}  // namespace eventrelay::control
