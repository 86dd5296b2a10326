#include "common/kafka/topic_history.hpp"

namespace eventrelay::kafka {

using Change = TopicChange::Kind;

std::vector<TopicChange> TopicHistory::look(const ClusterSight& sight, TimePoint now) {
  std::vector<TopicChange> changes;
  if (!answered_) answered_ = now;
  if (sight.silent) {
    const bool told = !silent_.empty();
    if (!told && now - *answered_ < kSilentAfter) return changes;
    silent_ = *sight.silent;
    if (!told) changes.push_back({Change::Silent, {}, {}, silent_, {}});
    return changes;
  }
  answered_ = now;
  if (!silent_.empty()) changes.push_back({Change::Answers, {}, {}, {}, {}});
  silent_.clear();
  for (const TopicSpec& spec : plan_) look_at(spec, sight, changes);
  look_at_logs(sight, changes);
  return changes;
}

void TopicHistory::look_at(const TopicSpec& spec, const ClusterSight& sight,
                           std::vector<TopicChange>& changes) {
  if (sight.unclear.contains(spec.name)) return;
  Known& known = topics_[spec.name];
  const auto found = sight.partitions.find(spec.name);
  if (found == sight.partitions.end()) {
    if (!known.gone) changes.push_back({Change::Gone, spec.name, {}, {}, {}});
    known.gone = true;
    ++known.gone_looks;
    known.disagrees.clear();
    return;
  }
  if (known.gone) changes.push_back({Change::Back, spec.name, {}, {}, {}});
  known.gone = false;
  const bool is_events = spec.name == plan_.front().name;
  if (is_events && known.partitions != 0 && found->second > known.partitions) {
    changes.push_back({Change::Grown, spec.name, Partition{found->second}, {}, {}});
  }
  known.partitions = found->second;
  const auto events = sight.partitions.find(plan_.front().name);
  const bool agrees =
      !spec.like_events || events == sight.partitions.end() || events->second == found->second;
  if (agrees) {
    if (!known.disagrees.empty()) changes.push_back({Change::Agrees, spec.name, {}, {}, {}});
    known.disagrees.clear();
    return;
  }
  const std::string text = "has " + std::to_string(found->second) + " partitions, \"" +
                           plan_.front().name + "\" has " + std::to_string(events->second) +
                           ": they must agree";
  if (known.disagrees != text) changes.push_back({Change::Disagrees, spec.name, {}, text, {}});
  known.disagrees = text;
}

bool TopicHistory::breaks_mark(const LogPlace& place, const ClusterSight& sight) const {
  const auto mark = marks_.find(place);
  const auto found = sight.found.find(place);
  return mark != marks_.end() && found != sight.found.end() && found->second >= 0 &&
         found->second < mark->second.offset;
}

// The very first record decides: all others of a log that goes on are younger as well.
bool TopicHistory::is_not_the_one_read(const LogPlace& place, const ClusterSight& sight) {
  const auto mark = sight.read.find(place);
  const auto found = sight.read_found.find(place);
  return mark != sight.read.end() && found != sight.read_found.end() && found->second == 0 &&
         mark->second.offset > 0;
}

// A log only grows: one that is shorter than it was, or comes after its topic was gone, or breaks
// its mark, or begins after what was read of it, is new.
void TopicHistory::look_at_logs(const ClusterSight& sight, std::vector<TopicChange>& changes) {
  std::set<std::string> seen;
  for (const auto& [place, end] : sight.ends) {
    seen.insert(place.first);
    const int needed = place.first == plan_.front().name ? kGoneLooks : 1;
    const bool remade = topics_[place.first].gone_looks >= needed;
    const auto before = ends_.find(place);
    const bool is_new =
        before != ends_.end() && (remade || end < before->second || breaks_mark(place, sight));
    if (is_new || is_not_the_one_read(place, sight)) {
      marks_.erase(place);
      changes.push_back({Change::Anew, place.first, Partition{place.second}, {}, Offset{end}});
    }
    ends_[place] = end;
  }
  for (const std::string& topic : seen) {
    if (!topics_[topic].gone) topics_[topic].gone_looks = 0;
  }
  for (const auto& [place, mark] : sight.marks) {
    // One that was not answered stays: it may be all that tells of another log.
    if (sight.found.contains(place)) marks_.erase(place);
    marks_.try_emplace(place, mark);
  }
}

std::vector<std::string> TopicHistory::reasons() const {
  std::vector<std::string> reasons;
  if (!silent_.empty()) reasons.push_back("Kafka does not answer: " + silent_);
  for (const TopicSpec& spec : plan_) {
    const auto known = topics_.find(spec.name);
    if (known == topics_.end()) continue;
    if (known->second.gone) reasons.push_back("topic \"" + spec.name + "\" does not exist");
    if (!known->second.disagrees.empty()) {
      reasons.push_back("topic \"" + spec.name + "\" " + known->second.disagrees);
    }
  }
  return reasons;
}

bool TopicHistory::held() const {
  for (const TopicSpec& spec : plan_) {
    const auto known = topics_.find(spec.name);
    if (!spec.like_events || known == topics_.end()) continue;
    if (known->second.gone || !known->second.disagrees.empty()) return true;
  }
  return false;
}

std::vector<std::pair<std::string, int>> TopicHistory::to_grow() const {
  std::vector<std::pair<std::string, int>> topics;
  const auto events = topics_.find(plan_.front().name);
  if (events == topics_.end() || events->second.gone) return topics;
  for (const TopicSpec& spec : plan_) {
    const auto known = topics_.find(spec.name);
    if (!spec.like_events || known == topics_.end() || known->second.gone) continue;
    if (known->second.partitions < events->second.partitions) {
      topics.emplace_back(spec.name, events->second.partitions);
    }
  }
  return topics;
}

}  // namespace eventrelay::kafka
