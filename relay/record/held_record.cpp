#include "relay/record/held_record.hpp"

#include <array>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

void HeldRecord::copy_out() {
  if (!message || sending > 0) return;
  keep_copy();
  message = kafka::Message{};
}

void HeldRecord::keep_copy() {
  std::string_view none;
  const bool parked = event.parked.has_value();
  const std::array<std::string_view*, 13> views{&event.id,
                                                &event.provider_id,
                                                &event.element,
                                                &event.event_type,
                                                &event.object_type,
                                                &event.object_id,
                                                &event.date,
                                                &event.content_type,
                                                &event.traceparent,
                                                &event.tracestate,
                                                &event.body,
                                                parked ? &event.parked->subscription : &none,
                                                parked ? &event.parked->reason : &none};
  std::size_t total = 0;
  for (const auto* view : views) total += view->size();
  copy.reserve(total);
  for (auto* view : views) {
    const std::size_t at = copy.size();
    copy.append(*view);
    *view = {copy.data() + at, view->size()};  // never moves: reserved above
  }
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
  record.event = Event{};
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
