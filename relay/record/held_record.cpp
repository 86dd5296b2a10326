#include "relay/record/held_record.hpp"

#include "common/base/assert.hpp"

namespace eventrelay::relay {

void HeldRecord::copy_out() {
  if (!message || sending > 0) return;
  keep_copy();
  message = kafka::Message{};
}

void HeldRecord::keep_copy() {
  std::size_t total = event.body.size();
  for_each_header_text(event, [&total](std::string_view& text) { total += text.size(); });
  copy.reserve(total);
  const auto move = [this](std::string_view& text) {
    const std::size_t at = copy.size();
    copy.append(text);
    text = {copy.data() + at, text.size()};  // never moves: reserved above
  };
  for_each_header_text(event, move);
  move(event.body);
}

void settle(const Finished& end) {
  if (end.held == nullptr) return;
  auto& record = static_cast<HeldRecord&>(*end.held);
  record.owner->settled(record, end.done ? End::Done : End::NotDone);
}

void HeldRecords::free(HeldRecord& record) {
  EVENTRELAY_ASSERT(record.sending == 0);
  record.message = kafka::Message{};
  if (!record.copy.empty()) std::string().swap(record.copy);
  record.owner = nullptr;
  record.home = nullptr;
  record.cursor = kLivePath;
  record.begun = false;
  record.kept_elsewhere = 0;
  record.all_done = true;
  record.jobs = 0;
  pool_.give_back(record);
}

}  // namespace eventrelay::relay
