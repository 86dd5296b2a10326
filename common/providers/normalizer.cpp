#include "common/providers/normalizer.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/crypto.hpp"
#include "common/providers/form.hpp"

namespace eventrelay::providers {

namespace {

using json::Found;
using json::Kind;
using json::Wanted;

constexpr std::string_view kUnknown = "UNKNOWN";
constexpr std::string_view kUpdated = "UPDATED";

// What the last word of a trigger means.
struct Meaning {
  std::string_view verb;
  std::string_view event_type;
};
constexpr std::array<Meaning, 14> kMeanings{{
    {"UPLOADED", "CREATED"},
    {"CREATED", "CREATED"},
    {"COPIED", "CREATED"},
    {"RESTORED", "CREATED"},
    {"TRASHED", "DELETED"},
    {"DELETED", "DELETED"},
    {"REMOVED", "DELETED"},
    {"MOVED", "UPDATED"},
    {"RENAMED", "UPDATED"},
    {"LOCKED", "UPDATED"},
    {"UNLOCKED", "UPDATED"},
    {"UPDATED", "UPDATED"},
    {"ACCEPTED", "UPDATED"},
    {"REJECTED", "UPDATED"},
}};
// Families whose other triggers tell of a new state of the same object.
constexpr std::array<std::string_view, 3> kStateful{"SIGN_REQUEST.", "TASK_ASSIGNMENT.",
                                                    "DOCGEN_DOCUMENT_GENERATION_"};

// The order of the array is the order of the results. `source` is there to be seen only once.
enum BoxField : std::size_t { kId, kTrigger, kCreatedAt, kSource, kSourceType, kSourceId, kFields };
constexpr std::array<Wanted, kFields> kBoxFields{{{"", "id"},
                                                  {"", "trigger"},
                                                  {"", "created_at"},
                                                  {"", "source"},
                                                  {"source", "type"},
                                                  {"source", "id"}}};

constexpr std::array<std::string_view, 17> kCreatedWords{
    "create",   "created", "creation", "add",      "added",     "upload",
    "uploaded", "open",    "opened",   "publish",  "published", "new",
    "copy",     "copied",  "restore",  "restored", "undelete"};
constexpr std::array<std::string_view, 9> kDeletedWords{"delete",  "deleted", "deletion",
                                                        "remove",  "removed", "trash",
                                                        "trashed", "destroy", "destroyed"};
// The form of dates in notifications ends with the year 9999.
constexpr WallTime kLastDate{std::chrono::seconds{253'402'300'799}};

bool has_list(const Rules& rules) noexcept {
  return rules.lists.front().data() != nullptr;
}

std::string_view part_of(std::string_view text, Part part, char mark) noexcept {
  const bool last = part == Part::BeforeLast || part == Part::AfterLast;
  const bool before = part == Part::BeforeFirst || part == Part::BeforeLast;
  if (part == Part::Whole) return text;
  const std::size_t at = last ? text.rfind(mark) : text.find(mark);
  if (at == std::string_view::npos) return before ? text : std::string_view{};
  return before ? text.substr(0, at) : text.substr(at + 1);
}

}  // namespace

std::string_view header_text(std::string_view text) noexcept {
  const bool plain = text.size() <= kFieldMax && std::all_of(text.begin(), text.end(), [](char c) {
                       return c >= 0x20 && c < 0x7F;
                     });
  return plain ? text : std::string_view{};
}

std::string_view box_event_type(std::string_view trigger, std::string_view source_type) noexcept {
  const std::size_t dot = trigger.rfind('.');
  if (dot != std::string_view::npos) {
    const std::string_view verb = trigger.substr(dot + 1);
    for (const Meaning& meaning : kMeanings) {
      if (meaning.verb != verb) continue;
      // The comment on a file is made or gone, the file is neither.
      const bool item = source_type == "file" || source_type == "folder";
      const bool own = trigger.starts_with("FILE.") || trigger.starts_with("FOLDER.");
      return item && !own ? kUpdated : meaning.event_type;
    }
  }
  for (const std::string_view family : kStateful) {
    if (trigger.starts_with(family) && trigger.size() > family.size()) return kUpdated;
  }
  return kUnknown;
}

std::string_view event_type_of(std::string_view word) noexcept {
  const auto is_word = [word](std::string_view one) { return equal_without_case(one, word); };
  if (word.empty()) return kUnknown;
  if (std::any_of(kCreatedWords.begin(), kCreatedWords.end(), is_word)) return "CREATED";
  if (std::any_of(kDeletedWords.begin(), kDeletedWords.end(), is_word)) return "DELETED";
  return kUpdated;
}

Expected<Normalised, ProviderError> Normalizer::box_v2(std::string_view body) {
  std::array<Found, kFields> found;
  const auto top = scanner_.scan(body, kBoxFields, found);
  if (!top) return refuse(provider_error(top.error()));
  if (*top != Kind::Object) return refuse(ProviderError::MalformedJson);

  Normalised event;
  hash_id(found[kId].text);
  event.provider_id = provider_id_;
  event.event_type = box_event_type(found[kTrigger].text, found[kSourceType].text);
  event.object_type = header_text(found[kSourceType].text);
  event.object_id = header_text(found[kSourceId].text);
  // A date that cannot be read is left out: the body is genuine, and it carries the original.
  const auto created = parse_stamp(Stamp::Rfc3339, found[kCreatedAt].text);
  if (created) {
    write_utc(*created, date_);
    event.date = {date_.data(), date_.size()};
  }
  return event;
}

// An id that no header can carry counts by its hash: the same each time, another for another id.
void Normalizer::hash_id(std::string_view text) {
  provider_id_ = header_text(text);
  if (!provider_id_.empty() || text.empty()) return;
  const std::string digits = crypto::hex(crypto::sha256(text).view());
  std::copy(digits.begin(), digits.end(), hashed_.begin());
  provider_id_ = {hashed_.data(), hashed_.size()};
}

Expected<std::size_t, ProviderError> Normalizer::read(const Rules& rules, const Input& input) {
  rules_ = &rules;
  input_ = input;
  provider_id_ = {};
  listed_ = false;
  count_ = 1;
  if (input.opaque) {
    if (const auto id = read_id(); !id) return refuse(id.error());
    return count_;
  }
  std::string_view json = input.body;
  if (input.form) {
    auto read = rules.form_field.empty() ? form_as_json(input.body)
                                         : form_value(input.body, rules.form_field);
    if (!read) return refuse(ProviderError::MalformedRequest);
    text_ = std::move(*read);
    const std::size_t size = text_.size();
    text_.resize(size + json::kPadding);
    json = std::string_view(text_).substr(0, size);
  }
  const auto top = scanner_.parse(json);
  if (!top) return refuse(provider_error(top.error()));
  for (const std::string_view pointer : rules.lists) {
    if (pointer.data() == nullptr || listed_) continue;
    const auto size = scanner_.open_list(pointer);
    if (!size) return refuse(provider_error(size.error()));
    if (!*size || **size == 0) continue;
    if (**size > kObjectsMax) return refuse(ProviderError::TooManyObjects);
    listed_ = true;
    count_ = **size;
  }
  if (const auto id = read_id(); !id) return refuse(id.error());
  return count_;
}

Expected<Found, ProviderError> Normalizer::find(std::size_t index, std::string_view at,
                                                bool in_body) {
  if (input_.opaque) return Found{};
  const auto found = in_body || !listed_ ? scanner_.at(at) : scanner_.at(index, at);
  if (!found) return refuse(provider_error(found.error()));
  return *found;
}

Normalizer::Text Normalizer::value(const Lookup& lookup, std::size_t index) {
  std::string_view text;
  switch (lookup.from) {
    case From::Nowhere:
      return text;
    case From::Always:
      return lookup.literal;
    case From::Field:
      if (input_.head != nullptr) text = input_.head->find(lookup.at);
      break;
    case From::Named: {
      const std::string_view name =
          input_.head == nullptr ? std::string_view{} : input_.head->find(lookup.at);
      if (name.empty() || name.find_first_of("~/") != std::string_view::npos) return text;
      pointer_.assign("/").append(name).append(lookup.rest);
      const auto found = find(index, pointer_, true);
      if (!found) return refuse(found.error());
      text = found->text;
      break;
    }
    case From::Object:
    case From::Body: {
      // Without a list there is no object whose own member it could be.
      if (lookup.from == From::Object && !listed_ && has_list(*rules_)) return text;
      const auto found = find(index, lookup.at, lookup.from == From::Body);
      if (!found) return refuse(found.error());
      text = found->text;
      break;
    }
  }
  text = part_of(text, lookup.part, lookup.mark);
  return text.empty() || lookup.literal.empty() ? text : lookup.literal;
}

Normalizer::Text Normalizer::first_of(const Lookups& lookups, std::size_t index) {
  for (const Lookup& lookup : lookups) {
    if (lookup.from == From::Nowhere) break;
    const Text found = value(lookup, index);
    if (!found || !found->empty()) return found;
  }
  return std::string_view{};
}

Expected<bool, ProviderError> Normalizer::flag(std::string_view at) {
  const auto found = find(0, at, true);
  if (!found) return refuse(found.error());
  return found->truth;
}

Normalizer::Text Normalizer::type_word(std::size_t index, std::string_view object_type) {
  if (rules_->flags_of.empty() || object_type != rules_->flags_of) {
    return first_of(rules_->event_types, index);
  }
  const auto created = flag("/created");
  if (!created) return refuse(created.error());
  if (*created) return "created";
  const auto deleted = flag("/deleted");
  if (!deleted) return refuse(deleted.error());
  return std::string_view{*deleted ? "deleted" : "updated"};
}

Expected<Normalised, ProviderError> Normalizer::object(std::size_t index) {
  EVENTRELAY_ASSERT(rules_ != nullptr && index < count_);
  Normalised event;
  event.provider_id = provider_id_;
  auto type = first_of(rules_->object_type, index);
  if (!type) return refuse(type.error());
  if (rules_->type_before_last_dot) *type = part_of(*type, Part::BeforeLast, '.');
  if (rules_->lower_case_type) {
    lower_.assign(*type);
    for (char& c : lower_) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    *type = lower_;
  }
  event.object_type = header_text(*type);
  const auto id = first_of(rules_->object_id, index);
  if (!id) return refuse(id.error());
  event.object_id = header_text(*id);
  event.event_type = kUpdated;
  if (rules_->type_rule != TypeRule::Updated) {
    const auto word = type_word(index, event.object_type);
    if (!word) return refuse(word.error());
    const std::string_view as_is = header_text(*word).empty() ? kUnknown : *word;
    event.event_type = rules_->type_rule == TypeRule::AsIs ? as_is : event_type_of(*word);
  }
  const auto date = first_of(rules_->date, index);
  if (!date) return refuse(date.error());
  const auto time = parse_stamp(rules_->date_unit, *date);
  if (time && *time <= kLastDate) {
    write_utc(*time, date_);
    event.date = {date_.data(), date_.size()};
  }
  const auto route = first_of(rules_->route, index);
  if (!route) return refuse(route.error());
  event.route = *route;
  return event;
}

// Appends what is at the places of the id, one after the other; false where its own part is not
// there.
Expected<bool, ProviderError> Normalizer::join(std::size_t index, std::string& text) {
  const auto own = first_of(rules_->own_id, index);
  if (!own) return refuse(own.error());
  const bool has_own = !own->empty();
  for (const Lookup& lookup : rules_->id) {
    if (lookup.from == From::Nowhere) break;
    const auto part = value(lookup, index);
    if (!part) return refuse(part.error());
    if (part->empty()) continue;
    text.append(std::to_string(part->size())).append(":").append(*part).append("\n");
  }
  return has_own;
}

Expected<void, ProviderError> Normalizer::read_id() {
  if (rules_->id_rule == IdRule::First) {
    const auto id = first_of(rules_->id, 0);
    if (!id) return refuse(id.error());
    hash_id(*id);
    return {};
  }
  std::string text;
  bool known = false;
  if (rules_->id_rule == IdRule::Body) {
    text.assign(input_.body);
    known = true;
  } else {
    const std::size_t last = rules_->id_rule == IdRule::JoinedOfAll ? count_ : 1;
    known = last > 0;
    for (std::size_t i = 0; i < last; ++i) {
      const auto joined = join(i, text);
      if (!joined) return refuse(joined.error());
      known &= *joined;
    }
  }
  if (!known) return {};
  const std::string digits = crypto::hex(crypto::sha256(text).view());
  std::copy(digits.begin(), digits.end(), hashed_.begin());
  provider_id_ = {hashed_.data(), hashed_.size()};
  return {};
}

}  // namespace eventrelay::providers
