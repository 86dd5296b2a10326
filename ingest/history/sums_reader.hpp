// Adds up what the relay has counted of the events, in steps of time.
//
// Why:     counting the events again would read all of them; the relay counts as it delivers.
// Owner:   History.  Thread: one owner, the thread of the history; waits.
// Bounds:  20,000 records of sums; where the steps asked for need more, the first half of them is
//          answered, or half of that.
// Errors:  HistoryTrouble; see logs.hpp.
#pragma once

#include "ingest/history/logs.hpp"
#include "ingest/history/questions.hpp"

namespace eventrelay::history {

[[nodiscard]] SumsAnswer read_sums(Logs& logs, const SumsQuestion& question, Budget& budget);

}  // namespace eventrelay::history
