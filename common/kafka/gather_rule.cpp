#include "common/kafka/gather_rule.hpp"

#include <algorithm>

namespace eventrelay::kafka {

void GatherRule::on_record(bool first, TimePoint now) noexcept {
  if (first) since_ = now;
  const Duration counted = now - window_from_;
  if (counted >= longest_) {
    in_last_ = counted < 2 * longest_ ? in_window_ : 0;
    in_window_ = 0;
    window_from_ = now;
  }
  ++in_window_;
}

bool GatherRule::few(std::size_t partitions) const noexcept {
  return std::max(in_last_, in_window_) <= 1 + partitions / 4;
}

bool GatherRule::go(const View& view, TimePoint now) const noexcept {
  if (view.gathered == 0) return false;
  if (view.under_way == 0 && !view.others_may_come) return true;
  return few(view.partitions) || now >= at_latest();
}

}  // namespace eventrelay::kafka
