#include "common/providers/box_v1.hpp"

#include <chrono>
#include <cstring>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/providers/form.hpp"

namespace eventrelay::providers {

namespace {

constexpr std::chrono::milliseconds kBucket{10'000};

struct V1Meaning {
  std::string_view event;
  std::string_view event_type;
};
// Names of the guide's list in the spelling seen on the wire, lower case.
constexpr std::array<V1Meaning, 15> kV1Meanings{{
    {"uploaded", "CREATED"},
    {"created", "CREATED"},
    {"copied", "CREATED"},
    {"restored", "CREATED"},
    {"deleted", "DELETED"},
    {"trashed", "DELETED"},
    {"moved", "UPDATED"},
    {"renamed", "UPDATED"},
    {"locked", "UPDATED"},
    {"unlocked", "UPDATED"},
    {"commented", "UPDATED"},
    {"task_assigned", "UPDATED"},
    {"responded_to_task", "UPDATED"},
    {"collaborator_added", "UPDATED"},
    {"sent", "UPDATED"},
}};

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Unexpected<ProviderError> malformed() {
  return Unexpected<ProviderError>(ProviderError::MalformedRequest);
}

}  // namespace

bool BoxV1Parser::decode(std::string_view text, std::string_view& decoded) {
  const std::size_t begin = decoded_.size();
  if (!append_form_decoded(text, decoded_)) return false;
  decoded = std::string_view{decoded_}.substr(begin);
  return true;
}

// `["1","2"]`, `[1,2]` or a bare id; an id is printable and has neither quotes nor backslashes.
bool BoxV1Parser::read_users(std::string_view list) {
  list = trim(list);
  const bool array = list.starts_with('[');
  if (array) {
    if (!list.ends_with(']')) return false;
    list = trim(list.substr(1, list.size() - 2));
    if (list.empty()) return true;
  } else if (list.empty()) {
    return true;
  }
  for (bool more = true; more;) {
    const std::size_t comma = array ? list.find(',') : std::string_view::npos;
    std::string_view user = trim(list.substr(0, comma));
    if (array && user.size() >= 2 && user.front() == '"' && user.back() == '"') {
      user = user.substr(1, user.size() - 2);
    }
    if (user.empty() || user.find_first_of("\"\\[],") != std::string_view::npos) return false;
    if (event_.user_count == kUsersMax) return false;
    event_.users[event_.user_count++] = user;
    more = comma != std::string_view::npos;
    if (more) list.remove_prefix(comma + 1);
  }
  return true;
}

bool BoxV1Parser::assign(std::string_view name, std::string_view value) {
  const std::array<std::pair<std::string_view, std::string_view*>, 5> texts{
      {{"event", &event_.event},
       {"itemId", &event_.item_id},
       {"itemType", &event_.item_type},
       {"newItemId", &event_.new_item_id},
       {"token", &event_.token}}};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].first != name) continue;
    if ((seen_ & 1U << i) != 0) return false;
    seen_ |= 1U << i;
    *texts[i].second = value;
    return true;
  }
  if (name != "userId") return true;
  event_.users_named = true;
  if ((seen_ & 1U << texts.size()) != 0) return false;
  seen_ |= 1U << texts.size();
  return read_users(value);
}

Expected<const BoxV1Event*, ProviderError> BoxV1Parser::parse(std::string_view form) {
  if (form.size() > kParameterBytesMax) return malformed();
  event_.event = event_.item_id = event_.item_type = event_.new_item_id = event_.token = {};
  event_.user_count = 0;
  event_.token_at = event_.token_size = 0;
  event_.users_named = false;
  seen_ = 0;
  const std::string_view whole = form;
  decoded_.clear();
  decoded_.reserve(form.size());  // decoding never grows, so views into it stay
  std::size_t parameters = 0;
  while (!form.empty()) {
    const std::size_t ampersand = form.find('&');
    const std::string_view pair = form.substr(0, ampersand);
    form = ampersand == std::string_view::npos ? std::string_view{} : form.substr(ampersand + 1);
    if (pair.empty()) continue;
    if (++parameters > kParametersMax) return malformed();
    const std::size_t equals = pair.find('=');
    std::string_view name;
    std::string_view value;
    if (!decode(pair.substr(0, equals), name)) return malformed();
    if (equals != std::string_view::npos && !decode(pair.substr(equals + 1), value)) {
      return malformed();
    }
    if (!assign(name, value)) return malformed();
    if (name == "token") {
      const auto at = static_cast<std::size_t>(pair.data() - whole.data());
      const bool last = at + pair.size() == whole.size();
      event_.token_at = last && at > 0 ? at - 1 : at;
      event_.token_size = last ? whole.size() - event_.token_at : pair.size() + 1;
    }
  }
  return &event_;
}

std::string_view box_v1_event_type(std::string_view event) noexcept {
  std::array<char, 24> plain{};
  if (event.size() > plain.size()) return "UNKNOWN";
  for (std::size_t i = 0; i < event.size(); ++i) {
    const char c = event[i];
    plain[i] = c == ' ' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  const std::string_view word{plain.data(), event.size()};
  for (const V1Meaning& meaning : kV1Meanings) {
    if (meaning.event == word) return meaning.event_type;
  }
  return "UNKNOWN";
}

BoxV1Id box_v1_provider_id(std::string_view source, const BoxV1Event& event, WallTime received) {
  std::string text;
  for (const std::string_view part : {source, event.item_id, event.event, event.new_item_id}) {
    text.append(part).push_back('\n');
    text.append(std::to_string(part.size())).push_back('\n');
  }
  text.append(std::to_string(received.time_since_epoch() / kBucket));
  const std::string digits = crypto::hex(crypto::sha256(text).view());
  BoxV1Id id{};
  std::memcpy(id.data(), digits.data(), id.size());
  return id;
}

}  // namespace eventrelay::providers
