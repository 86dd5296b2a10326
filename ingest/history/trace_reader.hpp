// Reads what became of events: the traces they have left in the topics.
//
//   positions of the group -> delay topics -> dead letters, attempts, cursors -> traces
//
// Why:     a delivered event leaves no line of its own; what is not done does. The positions are
//          read first: what is written later than that can only be newer.
// Owner:   History.  Thread: one owner, the thread of the history; waits.
// Bounds:  the budget's records and deadline.
// Errors:  LogTrouble.
#pragma once

#include <vector>

#include "ingest/history/logs.hpp"
#include "ingest/history/questions.hpp"

namespace eventrelay::history {

// Adds to each of `events`, which stand in `log`, what is known of it.
[[nodiscard]] Expected<bool, LogTrouble> read_traces(Logs& logs, Log log,
                                                     std::vector<StoredEvent>& events,
                                                     Budget& budget);

}  // namespace eventrelay::history
